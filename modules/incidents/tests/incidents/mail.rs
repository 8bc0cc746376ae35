//! E-mail to a real server with a certificate of a private authority: what is encrypted, what is refused, what is told.

use base64::Engine as _;
use songhe_incidents::endpoints::NewEndpoint;
use songhe_incidents::model::{Channel, EndpointId, EndpointKind, Target};
use songhe_incidents::{MailSettings, MailTls};
use songhe_testkit::{Smtp, TestDb, both_databases};

use crate::channels::{SOON, new, settings};
use crate::common::Home;
use crate::desk::Desk;

both_databases! {
    from songhe_testkit::MIGRATED;

    async fn mail_is_encrypted_to_a_server_of_a_private_authority(db: TestDb) {
        for (smtp, tls) in [
            (Smtp::start_starttls(&["127.0.0.1"]), MailTls::StartTls),
            (Smtp::start_implicit(&["127.0.0.1"]), MailTls::Implicit),
        ] {
            let db = TestDb::create(db.kind(), &songhe_testkit::MIGRATED);
            smtp.wants("songhe", "mail word");
            let post = Post::open(&db, &smtp, tls, Some(smtp.authority())).await;
            post.desk.home.ladder(&[(Target::OnCall, Channel::Email)]).await;
            let incident = post.desk.home.press().await;
            assert_eq!(post.desk.home.rungs(incident).await, ["on_call email told"], "{tls:?}");
            let mail = smtp.wait_for(1, SOON).await.remove(0);
            assert_eq!(mail.auth, base64::engine::general_purpose::STANDARD.encode("\0songhe\0mail word"));
            let detail = post.desk.detail(incident).await;
            let effect = detail["deliveries"][0]["effect_id"].as_str().unwrap();
            assert_eq!(mail.header("message-id").unwrap(), format!("<{effect}@songhe.example>"));
            let clear = smtp.commands_in_clear();
            let expected: &[&str] = if tls == MailTls::StartTls { &["EHLO", "STARTTLS"] } else { &[] };
            assert_eq!(clear, expected, "nothing but the greeting goes unencrypted");
        }
    }

    async fn a_certificate_of_a_stranger_or_for_another_name_is_refused_and_told(db: TestDb) {
        let right = Smtp::start_starttls(&["127.0.0.1"]);
        let stranger = Smtp::start_starttls(&["127.0.0.1"]);
        for (tls, smtp, authority, words) in [
            // By no public authority, and no file names another.
            (MailTls::StartTls, &right, None, "不是受信任的机构签发的"),
            (MailTls::Implicit, &Smtp::start_implicit(&["127.0.0.1"]), None, "不是受信任的机构签发的"),
            // By another authority than that of the file.
            (MailTls::StartTls, &right, Some(stranger.authority()), "不是受信任的机构签发的"),
            (MailTls::StartTls, &Smtp::start_starttls(&["mail.test"]), Some(""), "证书与服务器名称不符"),
            (MailTls::Implicit, &Smtp::start_implicit(&["mail.test"]), Some(""), "证书与服务器名称不符"),
            // A server that does not encrypt at all.
            (MailTls::StartTls, &Smtp::start(), None, "不支持加密连接"),
            (MailTls::Implicit, &Smtp::start(), None, "不支持加密连接"),
        ] {
            let db = TestDb::create(db.kind(), &songhe_testkit::MIGRATED);
            // "": that server's own.
            let authority = authority.map(|pem| if pem.is_empty() { smtp.authority() } else { pem });
            let post = Post::open(&db, smtp, tls, authority).await;
            let said = post.refused(words).await;
            assert_eq!(said["status"], "queued", "mended, it goes: {said}");
            assert!(smtp.kept().is_empty());
            let commands = smtp.commands();
            assert!(!commands.iter().any(|word| ["AUTH", "MAIL", "DATA"].contains(&word.as_str())), "{commands:?}");
        }
    }

    async fn a_wrong_password_is_told_and_the_mail_sent_again_by_hand(db: TestDb) {
        let smtp = Smtp::start_implicit(&["127.0.0.1"]);
        smtp.wants("songhe", "another word");
        let post = Post::open(&db, &smtp, MailTls::Implicit, Some(smtp.authority())).await;
        let said = post.refused("不接受用户名或密码").await;
        assert_eq!(said["status"], "failed", "{said}");
        assert!(!said.to_string().contains("mail word"), "{said}");
        assert!(smtp.kept().is_empty());
        smtp.wants("songhe", "mail word");
        let admin = post.desk.token("admin").await;
        let replay = format!("/endpoints/{}/deliveries/{}/replay", post.endpoint, said["effect_id"].as_str().unwrap());
        assert_eq!(post.desk.form(&admin, &replay, &[]).await.0, 303);
        let mail = smtp.wait_for(1, SOON).await.remove(0);
        assert!(mail.header("message-id").unwrap().contains(said["effect_id"].as_str().unwrap()));
    }

    async fn a_mailbox_that_is_refused_keeps_a_call_from_no_other(db: TestDb) {
        let smtp = Smtp::start_starttls(&["127.0.0.1"]);
        smtp.refuse_times(1, "550 5.1.1 no such user");
        let to = ["gone@example.com", "duty@example.com"];
        let post = Post::open_to(&db, &smtp, MailTls::StartTls, Some(smtp.authority()), &to).await;
        post.desk.home.ladder(&[(Target::OnCall, Channel::Email)]).await;
        let incident = post.desk.home.press().await;
        let mail = smtp.wait_for(1, SOON).await.remove(0);
        let detail = post.desk.detail(incident).await;
        let fates = detail["deliveries"].as_array().unwrap().iter();
        let mut fates: Vec<_> = fates.map(|one| (one["mailbox"].as_str().unwrap(), one["status"].as_str().unwrap())).collect();
        fates.sort_unstable();
        let reached = mail.to[0].as_str();
        let other = to.iter().find(|one| **one != reached).unwrap();
        let mut expected = [(reached, "delivered"), (*other, "failed")];
        expected.sort_unstable();
        assert_eq!((fates.as_slice(), mail.to.len()), (expected.as_slice(), 1), "{detail}");
        assert_eq!(post.desk.home.rungs(incident).await, ["on_call email told"]);
    }

    async fn nothing_in_a_facilitys_words_becomes_a_header(db: TestDb) {
        let smtp = Smtp::start_starttls(&["127.0.0.1"]);
        let post = Post::open(&db, &smtp, MailTls::StartTls, Some(smtp.authority())).await;
        post.desk.home.ladder(&[(Target::OnCall, Channel::Email)]).await;
        let admin = post.desk.token("admin").await;
        let body = serde_json::json!({
            "facility": post.desk.home.people.here.to_string(), "locale": "zh-CN", "occasion": "call",
            "body": "call {place}\rBcc: a@evil.example\r\nBcc: b@evil.example\r\n.\r\nRCPT TO:<c@evil.example>",
        });
        assert_eq!(post.desk.api(&admin, "PUT", "/message-templates", Some(body)).await.0, 200);
        post.desk.home.press().await;
        let mail = smtp.wait_for(1, SOON).await.remove(0);
        assert_eq!((mail.header("bcc"), mail.to), (None, vec!["duty@example.com".to_owned()]));
        assert!(!smtp.commands().contains(&"RCPT".to_owned()) || smtp.commands().iter().filter(|word| *word == "RCPT").count() == 1);
        assert_eq!(smtp.kept().len(), 1);
    }
}

/// A home whose mail leaves by a server, and an endpoint for it.
struct Post {
    desk: Desk,
    endpoint: EndpointId,
    _folder: tempfile::TempDir,
}

impl Post {
    async fn open(db: &TestDb, smtp: &Smtp, tls: MailTls, authority: Option<&str>) -> Self {
        Self::open_to(db, smtp, tls, authority, &["duty@example.com"]).await
    }

    async fn open_to(db: &TestDb, smtp: &Smtp, tls: MailTls, authority: Option<&str>, to: &[&str]) -> Self {
        let folder = songhe_testkit::temp_dir();
        let ca_file = authority.map(|pem| {
            let path = folder.path().join("authority.pem");
            std::fs::write(&path, pem).unwrap();
            path
        });
        let mail = MailSettings { tls, ca_file, ..settings(smtp) };
        let desk = Desk::at(Home::open_outside(db, Some(mail)).await).await;
        let to = to.iter().map(|one| (*one).to_owned()).collect();
        let endpoint = desk.home.outside(NewEndpoint { recipients: to, ..new(&desk, EndpointKind::Email, "") }).await;
        Self { desk, endpoint, _folder: folder }
    }

    /// A test that fails, and says so on the endpoint's page in these words.
    async fn refused(&self, words: &str) -> serde_json::Value {
        let said = self.desk.test(self.endpoint).await;
        let admin = self.desk.token("admin").await;
        let test = said["effect_id"].as_str().unwrap();
        let (_, page) = self.desk.page(&admin, "zh-CN", &format!("/endpoints/{}?test={test}", self.endpoint)).await;
        let shown = page.split("测试消息没有送达").nth(1).unwrap_or_else(|| panic!("{said}"));
        assert!(shown.split("</div>").next().unwrap().contains(words), "{words}: {said}");
        said
    }
}
