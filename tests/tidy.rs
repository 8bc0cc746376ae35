//! Guards what no compiler checks: floors, file sizes, translations, migrations, templates.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 600;
const LOCALES: [&str; 2] = ["zh-CN", "en"];
const DATABASES: [&str; 2] = ["sqlite", "postgres"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` whose name ends so, without what is built or stored.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            let name = name_of(&path);
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "songhe-data" {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn subfolders(folder: &str) -> Vec<PathBuf> {
    entries(&root().join(folder)).into_iter().filter(|path| path.is_dir()).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with one line per fault, so that a run shows all of them.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

// ---------------------------------------------------------------- floors

/// The floor of one of our crates, from ARCHITECTURE.md. Shared modules stand in an order;
/// every other module is a scenario, and scenarios never use each other.
fn floor(package: &str, folder: &str) -> (u8, u8) {
    match (package, folder) {
        ("songhe-kernel" | "songhe-broker" | "songhe-adapter-core", _) => (1, 0),
        ("songhe-registry", _) => (2, 0),
        ("songhe-incidents" | "songhe-ledger", _) => (2, 1),
        ("songhe-devices", _) => (2, 2),
        ("songhe", _) => (4, 0),
        (_, folder) if folder.starts_with("device-adapters/") => (2, 0),
        _ => (3, 0),
    }
}

/// Package name, folder, and our own crates named in its dependencies. What tests use does not count:
/// a module's tests speak to it through a real adapter.
fn crates() -> Vec<(String, String, BTreeSet<String>)> {
    let describe = |path: PathBuf| {
        let (mut name, mut section, mut uses) = (String::new(), String::new(), BTreeSet::new());
        for line in read(&path).lines().map(str::trim) {
            let key = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if let Some(title) = line.strip_prefix('[') {
                section = title.trim_end_matches(']').to_owned();
            } else if section == "package" && key == "name" {
                name = line.split('"').nth(1).unwrap_or_default().to_owned();
            } else if section.ends_with("dependencies")
                && section != "dev-dependencies"
                && !section.starts_with("workspace")
                && key.starts_with("songhe")
            {
                uses.insert(key.to_owned());
            }
        }
        (name, shown(path.parent().unwrap()), uses)
    };
    files("", &["Cargo.toml"]).into_iter().map(describe).collect()
}

#[test]
fn a_crate_uses_crates_of_lower_floors_only() {
    let crates = crates();
    assert!(crates.len() >= 10, "only {} crates found", crates.len());
    let folders: BTreeMap<&str, &str> =
        crates.iter().map(|(name, folder, _)| (name.as_str(), folder.as_str())).collect();
    let mut faults = Vec::new();
    for (name, folder, uses) in &crates {
        for used in uses {
            let Some(used_folder) = folders.get(used.as_str()) else {
                continue;
            };
            let lower = floor(used, used_folder) < floor(name, folder);
            let adapter = folder.starts_with("device-adapters/");
            let uses_adapter = used_folder.starts_with("device-adapters/") && used != "songhe-adapter-core";
            if (name == "songhe-testkit" && used != "songhe-kernel")
                || !lower
                || (adapter && used != "songhe-adapter-core")
                || (uses_adapter && name != "songhe")
            {
                faults.push(format!("{folder} must not use {used}"));
            }
        }
    }
    none(&faults);
}

// ---------------------------------------------------------------- files

#[test]
fn files_stay_short_enough_to_read() {
    let files = files("", &[".rs", ".js", ".css", ".hbs"]);
    assert!(files.iter().any(|path| path.ends_with("src/main.rs")));
    let long = files.iter().map(|path| (path, read(path).lines().count())).filter(|(_, lines)| *lines > MAX_LINES);
    none(
        &long
            .map(|(path, lines)| format!("{} has {lines} lines, more than {MAX_LINES}", shown(path)))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_module_and_adapter_says_what_it_is_for() {
    let folders: Vec<PathBuf> = ["modules", "device-adapters"].iter().flat_map(|folder| subfolders(folder)).collect();
    assert!(folders.len() >= 8, "only {} modules and adapters found", folders.len());
    let silent = folders.iter().filter(|folder| !folder.join("README.md").is_file());
    none(&silent.map(|folder| format!("{} has no README.md", shown(folder))).collect::<Vec<_>>());
}

// ---------------------------------------------------------------- words

/// The keys of one language with the file that defines each.
fn keys(locale: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for path in files(&format!("templates/locales/{locale}"), &[".ftl"]) {
        for line in read(&path).lines() {
            let Some((key, _)) = line.split_once('=') else {
                continue;
            };
            let key = key.trim_end();
            let is_key = key.starts_with(|first: char| first.is_ascii_lowercase())
                && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
            if is_key {
                let before = keys.insert(key.to_owned(), shown(&path));
                assert!(before.is_none(), "{locale}: {key} is in {} and in {before:?}", shown(&path));
            }
        }
    }
    assert!(!keys.is_empty(), "no texts in templates/locales/{locale}");
    keys
}

/// Every run of key characters in everything that may name a key. A run that ends in "-" is
/// the beginning of keys that are put together: `"incident-kind-"` with a kind behind it.
fn words_in_code() -> BTreeSet<String> {
    let mut paths: Vec<PathBuf> =
        ["src", "modules", "device-adapters"].iter().flat_map(|folder| files(folder, &[".rs"])).collect();
    paths.extend(files("templates", &[".hbs", ".js", ".ftl"]));
    let mut words = BTreeSet::new();
    for path in paths {
        let is_text = name_of(&path).ends_with(".ftl");
        for line in read(&path).lines() {
            // In a text only a reference { other-key } uses a key; its own name does not.
            let line = if is_text { line.split_once('=').map_or(line, |(_, value)| value) } else { line };
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            words.extend(line.split(|c: char| !is_part(c)).filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    words
}

#[test]
fn both_languages_have_the_same_texts() {
    let (chinese, english) = (keys(LOCALES[0]), keys(LOCALES[1]));
    let missing = |from: &BTreeMap<String, String>, to: &BTreeMap<String, String>, name: &str| {
        let absent = from.iter().filter(|(key, _)| !to.contains_key(*key));
        absent.map(|(key, file)| format!("{name} lacks {key} ({file})")).collect::<Vec<_>>()
    };
    none(&[missing(&chinese, &english, LOCALES[1]), missing(&english, &chinese, LOCALES[0])].concat());
}

#[test]
fn no_text_is_left_unused() {
    let words = words_in_code();
    let is_used =
        |key: &str| words.contains(key) || key.match_indices('-').any(|(at, _)| at >= 2 && words.contains(&key[..=at]));
    let keys = keys(LOCALES[0]);
    let unused = keys.iter().filter(|(key, _)| !is_used(key));
    none(&unused.map(|(key, file)| format!("{file}: nobody uses {key}")).collect::<Vec<_>>());
}

#[test]
fn every_text_that_a_page_names_exists() {
    let keys = keys(LOCALES[0]);
    let (mut faults, mut named) = (Vec::new(), 0);
    for path in files("templates", &[".hbs"]) {
        let text = without_comments(&read(&path));
        for start in ["{{t \"", "{{~t \"", "{{{t \"", "(t \""] {
            for (at, _) in text.match_indices(start) {
                let key = text[at + start.len()..].split('"').next().unwrap_or_default();
                named += 1;
                if !keys.contains_key(key) {
                    faults.push(format!("{}: no text {key}", shown(&path)));
                }
            }
        }
    }
    assert!(named > 0, "no page names a text");
    none(&faults);
}

// ---------------------------------------------------------------- pages

/// The template without `{{!-- … --}}`, which show by example how a part is used.
fn without_comments(text: &str) -> String {
    let mut parts = text.split("{{!--");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once("--}}").map_or("", |(_, rest)| rest));
    }
    kept
}

/// The template without its {{ … }}, whose arguments look like attributes.
fn without_mustaches(text: &str) -> String {
    let text = without_comments(text);
    let mut parts = text.split("{{");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once("}}").map_or(part, |(_, rest)| rest.trim_start_matches('}')));
    }
    plain.to_ascii_lowercase()
}

/// What the content security policy refuses: inline scripts, styles and handlers.
fn inline_code(text: &str) -> Vec<String> {
    let plain = without_mustaches(text);
    let mut found = Vec::new();
    for tag in plain.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let mut words = tag.split_whitespace();
        let name = words.next().unwrap_or_default();
        if name == "style" || (name == "script" && !tag.contains(" src=")) {
            found.push(format!("inline <{name}>"));
        }
        for word in words {
            let attribute = word.split('=').next().unwrap_or_default();
            let is_handler =
                attribute.len() > 2 && attribute.starts_with("on") && attribute.chars().all(|c| c.is_ascii_lowercase());
            if word.contains('=') && (attribute == "style" || is_handler) {
                found.push(format!("{attribute}= in <{name}>"));
            }
        }
    }
    found
}

#[test]
fn pages_hold_no_inline_code() {
    assert_eq!(inline_code("<a style=\"x\" onclick='y'><script>z</script><b {{#if on=x}}c{{/if}}>").len(), 3);
    assert!(
        inline_code("<script src=\"{{asset \"a.js\"}}\" defer></script><p class=\"on\">{{x onclick=1}}").is_empty()
    );
    let pages = files("templates", &[".hbs"]);
    assert!(!pages.is_empty(), "no templates");
    let faults = pages
        .iter()
        .flat_map(|path| inline_code(&read(path)).into_iter().map(move |fault| format!("{}: {fault}", shown(path))));
    none(&faults.collect::<Vec<_>>());
}

// ---------------------------------------------------------------- migrations

#[test]
fn migrations_are_the_same_in_both_databases_and_say_why() {
    let mut faults = Vec::new();
    let mut names: Vec<BTreeSet<String>> = Vec::new();
    for database in DATABASES {
        let mut found = BTreeSet::new();
        let mut stamps = BTreeMap::new();
        for module in subfolders(&format!("migrations/{database}")) {
            for migration in entries(&module).into_iter().filter(|path| path.is_dir()) {
                let (name, place) = (name_of(&migration), shown(&migration));
                let stamp = name.split('_').next().unwrap_or_default().to_owned();
                if stamp.len() != 17 || !stamp.chars().all(|c| c.is_ascii_digit() || c == '-') {
                    faults.push(format!("{place}: the name does not begin with YYYY-MM-DD-HHMMSS_"));
                }
                if let Some(other) = stamps.insert(stamp, place.clone()) {
                    faults.push(format!("{place} has the time of {other}"));
                }
                match fs::read_to_string(migration.join("up.sql")) {
                    Ok(up) if up.starts_with("-- ") => {}
                    Ok(_) => faults.push(format!("{place}/up.sql: the first line is not a reason")),
                    Err(_) => faults.push(format!("{place} has no up.sql")),
                }
                if !migration.join("down.sql").is_file() {
                    faults.push(format!("{place} has no down.sql"));
                }
                found.insert(format!("{}/{name}", name_of(&module)));
            }
        }
        assert!(!found.is_empty(), "no migrations for {database}");
        names.push(found);
    }
    for name in names[0].symmetric_difference(&names[1]) {
        faults.push(format!("{name} is there for one database only"));
    }
    none(&faults);
}

#[test]
fn guides_name_files_that_exist() {
    for (guide, least) in [("ARCHITECTURE.md", 20), ("docs/adapters.md", 15)] {
        names_files_that_exist(guide, least);
    }
}

fn names_files_that_exist(guide: &str, least: usize) {
    let text = read(&root().join(guide));
    let tops = ["modules/", "src/", "device-adapters/", "templates/", "tests/", "docs/"];
    let named: Vec<&str> =
        text.split('`').skip(1).step_by(2).filter(|word| tops.iter().any(|top| word.starts_with(top))).collect();
    // `{name}` stands for one that is yet to be.
    let named: Vec<&str> = named.into_iter().filter(|path| !path.contains('{')).collect();
    assert!(named.len() >= least, "{guide}: only {} files are named", named.len());
    let gone: Vec<_> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(gone.is_empty(), "{guide} names what is not there: {gone:?}");
}
