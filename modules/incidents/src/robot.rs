//! Group robots of WeCom, DingTalk and Feishu: the shape of their messages, their signatures, and what their answers mean.
//! They answer 200 with an error code in the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use songhe_kernel::effects::Sent;
use songhe_kernel::{Error, Result};

use crate::model::EndpointKind;

/// Codes by which a robot says that it will never take this message: unknown robot, wrong key, signature, word list or
/// address. Every other code may be another day's: tried again until the message expires.
const FINAL: [i64; 14] = [
    // WeCom: no such robot, bad parameter, empty text.
    93000, 40058,
    44004, // DingTalk: bad parameter, no such robot or robot off, key, signature, word list or address.
    40035, 300001, 310000, 400013, 400101,
    400102, // Feishu: bad parameter, no such robot, signature, address, word list.
    19001, 19002, 19021, 19022, 19024,
];

fn mac(key: &[u8], message: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(Error::internal)?;
    mac.update(message);
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

/// Address and body of one message; `secret` empty: the robot wants no signature.
///
/// # Errors
/// `Internal` for a URL that cannot be read.
pub(crate) fn request(
    kind: EndpointKind,
    url: &str,
    secret: &str,
    text: &str,
    unix_ms: i64,
) -> Result<(reqwest::Url, Value)> {
    let mut url = reqwest::Url::parse(url).map_err(|_| Error::internal("the robot's URL cannot be read"))?;
    let body = match kind {
        EndpointKind::Feishu => {
            let mut body = json!({ "msg_type": "text", "content": { "text": text } });
            if !secret.is_empty() {
                let unix_s = unix_ms / 1000;
                // The string to be signed is the key; nothing is the message.
                let sign = mac(format!("{unix_s}\n{secret}").as_bytes(), b"")?;
                body["timestamp"] = json!(unix_s.to_string());
                body["sign"] = json!(sign);
            }
            body
        }
        EndpointKind::DingTalk => {
            if !secret.is_empty() {
                let sign = mac(secret.as_bytes(), format!("{unix_ms}\n{secret}").as_bytes())?;
                url.query_pairs_mut().append_pair("timestamp", &unix_ms.to_string()).append_pair("sign", &sign);
            }
            json!({ "msgtype": "text", "text": { "content": text } })
        }
        _ => json!({ "msgtype": "text", "text": { "content": text } }),
    };
    Ok((url, body))
}

/// What the body of a 2xx answer says; `None`: it is no robot's answer, or half of one.
pub(crate) fn judge(body: &str) -> Option<Sent> {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let code = ["errcode", "code", "StatusCode"].iter().find_map(|name| answer.get(name)?.as_i64());
    let text = ["errmsg", "msg", "StatusMessage"].iter().find_map(|name| answer.get(name)?.as_str());
    let code = code?;
    let why = super::sender::clipped(&format!("{code} {}", text.unwrap_or_default()));
    Some(match code {
        0 => Sent::Delivered,
        code if FINAL.contains(&code) => Sent::Refused(why),
        _ => Sent::TryAgain(why),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Reference values by `openssl dgst -sha256 -hmac`.
    #[test]
    fn signatures_are_those_of_the_makers() {
        let url = "https://oapi.dingtalk.com/robot/send?access_token=a";
        let (url, body) = request(EndpointKind::DingTalk, url, "this is secret", "x", 1_700_000_000_000).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs[1], ("timestamp".into(), "1700000000000".into()));
        assert_eq!(pairs[2], ("sign".into(), "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0=".into()));
        assert_eq!(body["text"]["content"], "x");
        let url = "https://open.feishu.cn/open-apis/bot/v2/hook/a";
        let (url, body) = request(EndpointKind::Feishu, url, "this is secret", "x", 1_700_000_000_000).unwrap();
        assert_eq!(url.query(), None);
        assert_eq!(
            (body["timestamp"].as_str(), body["sign"].as_str()),
            (Some("1700000000"), Some("OfGzRzoUICBOoc8wVra1e4A1hPfbZ9zqXozA8CWVUuY="))
        );
        let url = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k";
        let (url, body) = request(EndpointKind::WeCom, url, "", "x", 0).unwrap();
        assert_eq!((url.query(), body["msgtype"].as_str()), (Some("key=k"), Some("text")));
    }

    #[test]
    fn two_hundred_with_a_code_is_a_failure() {
        for good in [r#"{"errcode":0,"errmsg":"ok"}"#, r#"{"code":0,"msg":"success"}"#, r#"{"StatusCode":0}"#] {
            assert_eq!(judge(good), Some(Sent::Delivered), "{good}");
        }
        assert_eq!(
            judge(r#"{"errcode":310000,"errmsg":"sign not match"}"#),
            Some(Sent::Refused("310000 sign not match".into()))
        );
        let refused = Sent::Refused("19021 sign match fail".into());
        assert_eq!(judge(r#"{"code":19021,"msg":"sign match fail"}"#), Some(refused));
        assert_eq!(judge(r#"{"errcode":45009,"errmsg":"freq"}"#), Some(Sent::TryAgain("45009 freq".into())));
        assert_eq!((judge("<html>"), judge(r#"{"errcode":0,"#)), (None, None));
    }
}
