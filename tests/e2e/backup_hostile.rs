//! Archives that are damaged, foreign or in the wrong hands: refused with clear words, and nothing is written.

use songhe_testkit::{Kind, TestDb, both_databases, run_test};

use crate::backup::{Elsewhere, Shelf, run, songhe};
use crate::sql::Connection;
use crate::world::{MIGRATED, Plan, start_program};

/// Bytes of a sealed chunk.
const CHUNK: usize = 64 * 1024 + 16;

both_databases! {
    from MIGRATED;

    async fn another_kind_and_a_place_that_is_taken_are_refused(db: TestDb) {
        let (_, server) = start_program(&db, &Plan::default()).await;
        let shelf = Shelf::new();
        let archive = shelf.back_up(&server.dir().join("songhe.toml"), "one.backup").await;
        let (mine, other) = match db.kind() {
            Kind::Sqlite => ("SQLite", "postgres://nobody@127.0.0.1:1/none".to_owned()),
            Kind::Postgres => ("PostgreSQL", format!("sqlite:{}/x.db", shelf.folder())),
        };
        let (restored, said) = shelf.restore(&archive, &other, &[]).await;
        assert!(!restored && said.contains(&format!("is of {mine} and can only be restored to {mine}")), "{said}");
        let before = Connection::open(&db).count("resident");
        let (restored, said) = shelf.restore(&archive, db.url(), &[]).await;
        assert!(!restored && said.contains("Nothing was written"), "{said}");
        assert_eq!(Connection::open(&db).count("resident"), before);
        assert_eq!(files(&shelf.folder()), ["one.backup"]);
    }

    async fn nobody_is_named_in_an_archive_and_no_copy_stays_behind(db: TestDb) {
        let (_, server) = start_program(&db, &Plan::default()).await;
        let shelf = Shelf::new();
        let archive = shelf.back_up(&server.dir().join("songhe.toml"), "one.backup").await;
        let bytes = std::fs::read(&archive).unwrap();
        for planted in ["老人0", "女儿0", "13800000000", "枫林里", "SH-0000", "argon2", "resident"] {
            assert!(!bytes.windows(planted.len()).any(|part| part == planted.as_bytes()), "{planted}");
        }
        if let Some(file) = db.file() {
            let left = files(&file.parent().unwrap().display().to_string());
            assert!(left.iter().all(|name| !name.contains("backup") && !name.contains("verif")), "{left:?}");
        }
        // The key is in none of its files either, and a key beside the archive is refused.
        let beside = format!("{}/beside.key", shelf.folder());
        std::fs::copy(shelf.key(), &beside).unwrap();
        let config = server.dir().join("songhe.toml").display().to_string();
        let (made, said) = run(&["backup", "--config", &config, "--to", &shelf.folder(), "--key-file", &beside]).await;
        assert!(!made && said.contains("Keep it elsewhere"), "{said}");
    }
}

fn files(folder: &str) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_damaged_archive_and_another_key_write_nothing() {
    run_test(async {
        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let (_, server) = start_program(&db, &Plan::default()).await;
        // What does not shrink, so that there are several chunks.
        let filler = "INSERT INTO meta (key, value) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) \
                      SELECT 'filler' || i, hex(randomblob(1000)) FROM n";
        Connection::open(&db).run(filler);
        let shelf = Shelf::new();
        let archive = shelf.back_up(&server.dir().join("songhe.toml"), "one.backup").await;
        let whole = std::fs::read(&archive).unwrap();
        let header = 20 + usize::try_from(u32::from_be_bytes(whole[16..20].try_into().unwrap())).unwrap();
        assert!(whole.len() > header + 4 * CHUNK, "{} bytes", whole.len());
        let chunk = |n: usize| header + n * CHUNK..header + (n + 1) * CHUNK;
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        };
        let mut swapped = whole.clone();
        swapped[chunk(1)].copy_from_slice(&whole[chunk(2)]);
        swapped[chunk(2)].copy_from_slice(&whole[chunk(1)]);
        let damaged = [
            ("a bit of the data", flipped(header + CHUNK + 100), "damaged or not complete"),
            ("the last bit", flipped(whole.len() - 1), "damaged or not complete"),
            ("a bit of the header's time", flipped(header - 60), "amaged"),
            ("the mark", flipped(3), "no archive"),
            ("cut off", whole[..whole.len() - 100].to_vec(), "damaged or not complete"),
            ("cut off where a chunk ends", whole[..header + 2 * CHUNK].to_vec(), "damaged or not complete"),
            ("the header alone", whole[..header].to_vec(), "damaged or not complete"),
            ("nothing", Vec::new(), "no archive"),
            ("swapped", swapped, "damaged or not complete"),
            ("more behind it", [&whole[..], b"more"].concat(), "damaged or not complete"),
        ];
        let there = Elsewhere::of(Kind::Sqlite);
        let path = there.url.strip_prefix("sqlite:").unwrap().to_owned();
        let nothing = |what: &str| {
            let folder = std::path::Path::new(&path).parent().unwrap();
            let left = if folder.exists() { files(&folder.display().to_string()) } else { Vec::new() };
            assert!(left.is_empty(), "{what}: {left:?}");
        };
        for (what, bytes, words) in damaged {
            std::fs::write(&archive, bytes).unwrap();
            let (restored, said) = shelf.restore(&archive, &there.url, &[]).await;
            assert!(!restored && said.contains(words) && !said.contains("backup-"), "{what}: {said}");
            nothing(what);
        }
        std::fs::write(&archive, &whole).unwrap();
        let another = Shelf::new();
        let (restored, said) = another.restore(&archive, &there.url, &[]).await;
        assert!(!restored && said.contains("not the archive's key"), "{said}");
        nothing("another key");
        // A comparison refuses as well; and on a Chinese terminal in Chinese.
        let verify = ["backup", "--verify", &archive, "--key-file", &another.key(), "--on", &there.url];
        assert!(songhe(&verify).1.contains("not the archive's key"));
        let chinese =
            std::process::Command::new(crate::world::program()).env("LC_ALL", "zh_CN.UTF-8").args(verify).output();
        assert!(String::from_utf8_lossy(&chinese.unwrap().stderr).contains("密钥不对"));
        // Whole again, it is restored.
        let (restored, said) = shelf.restore(&archive, &there.url, &[]).await;
        assert!(restored, "{said}");
        assert_eq!(Connection::at(&there.url).count("meta WHERE key LIKE 'filler%'"), 400);
    });
}

#[test]
fn a_passphrase_opens_what_it_locked() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    run_test(async {
        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let (_, server) = start_program(&db, &Plan::default()).await;
        let (shelf, there) = (Shelf::new(), Elsewhere::of(Kind::Sqlite));
        let config = server.dir().join("songhe.toml").display().to_string();
        let archive = format!("{}/one.backup", shelf.folder());
        let with = |words: &str, args: &[&str]| {
            let mut command = Command::new(crate::world::program());
            command.env("LC_ALL", "C").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let _ = writeln!(child.stdin.take().unwrap(), "{words}");
            let output = child.wait_with_output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        let make = ["backup", "--config", &config, "--to", &archive, "--passphrase"];
        let (made, said) = with("short", &make);
        assert!(!made && said.contains("at least 16 characters"), "{said}");
        let (made, said) = with("meadow violin forty-two lamp", &make);
        assert!(made, "{said}");
        let restore = ["restore", &archive, "--into", &there.url, "--passphrase"];
        let (restored, said) = with("meadow violin forty-two lamb", &restore);
        assert!(!restored && said.contains("not the archive's key"), "{said}");
        let (restored, said) = shelf.restore(&archive, &there.url, &[]).await;
        assert!(!restored && said.contains("give --passphrase"), "{said}");
        let (restored, said) = with("meadow violin forty-two lamp", &restore);
        assert!(restored, "{said}");
        assert_eq!(songhe(&["backup", "list", &shelf.folder()]).1.lines().count(), 1);
    });
}

#[test]
fn without_the_tools_of_postgresql_that_is_told() {
    run_test(async {
        let db = TestDb::create(Kind::Postgres, &MIGRATED);
        let (_, server) = start_program(&db, &Plan::default()).await;
        let shelf = Shelf::new();
        let config = server.dir().join("songhe.toml").display().to_string();
        let mut command = std::process::Command::new(crate::world::program());
        command.env("LC_ALL", "C").env("SONGHE_BACKUP__POSTGRES_TOOLS", shelf.folder());
        command.args(["backup", "--config", &config, "--to", &shelf.folder(), "--key-file", &shelf.key()]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("pg_dump is not installed"), "{said}");
        assert!(said.contains("backup.postgres_tools"), "{said}");
        assert_eq!(files(&shelf.folder()), Vec::<String>::new());
    });
}
