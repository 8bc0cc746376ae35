//! Which passwords are taken: long enough, not one that everybody tries, not made of the account's own names. No letters,
//! digits and signs by quota, and no change by the calendar unless the installation wants it (NIST SP 800-63B, 5.1.1.2).

use crate::error::{Error, Result, Text};

/// What everybody tries first, of ten characters and more, small letters; shorter ones fail by their length unless the
/// installation allows them, so that the commonest of those are here as well.
const COMMON: [&str; 60] = [
    "1234567890",
    "0123456789",
    "0987654321",
    "9876543210",
    "1234512345",
    "1122334455",
    "12345678910",
    "123456789a",
    "123456789q",
    "a123456789",
    "q123456789",
    "z123456789",
    "aa123456789",
    "abc123456789",
    "abcd123456",
    "abc1234567",
    "qwertyuiop",
    "qwertyuiop123",
    "qwerty12345",
    "qwerty123456",
    "qwer123456",
    "1qaz2wsx3edc",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "qazwsxedcrfv",
    "asdfghjkl;",
    "asdfghjkl123",
    "asdfghjkl1",
    "zxcvbnm123",
    "zxcvbnm,./",
    "password12",
    "password123",
    "password1234",
    "passw0rd123",
    "p@ssw0rd123",
    "iloveyou123",
    "iloveyou1314",
    "woaini1314",
    "woaini520",
    "woaini1314520",
    "5201314520",
    "1314520520",
    "520131452",
    "woaini123456",
    "admin123456",
    "administrator",
    "admin12345",
    "root123456",
    "test123456",
    "user123456",
    "welcome123",
    "letmein123",
    "changeme123",
    "12345678",
    "88888888",
    "11111111",
    "password",
    "qwertyui",
    "woaini521",
    "147258369",
];
/// Words that an attacker of this installation tries first.
const OF_THE_HOUSE: [&str; 3] = ["songhe", "松鹤", "yanglao"];
/// A name shorter than this is part of too many words.
const MIN_NAME_CHARS: usize = 3;

/// What this installation asks of passwords, `[accounts]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// At least so many characters.
    pub min_chars: usize,
    /// After so many days another one is asked for; 0: never.
    pub max_days: i64,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self { min_chars: 10, max_days: 0 }
    }
}

impl PasswordRules {
    /// Whether an account may have a password; `names` are what it and its owner are called.
    ///
    /// # Errors
    /// `Invalid` on `field`, with what is wrong.
    pub fn check(&self, field: &'static str, password: &str, names: &[&str]) -> Result<()> {
        let refused = |text: Text| Err(Error::field(field, text));
        if password.chars().count() < self.min_chars {
            return refused(Text::key("error-password-short").arg("min", self.min_chars));
        }
        let plain = password.trim().to_lowercase();
        if COMMON.contains(&plain.as_str()) || is_pattern(&plain) {
            return refused(Text::key("error-password-common"));
        }
        let spoken = |name: &str| name.trim().to_lowercase();
        let of_names = names.iter().map(|name| spoken(name)).filter(|name| name.chars().count() >= MIN_NAME_CHARS);
        let known = of_names.chain(OF_THE_HOUSE.iter().map(|word| (*word).to_owned()));
        for word in known {
            // Whatever is left without the word has to be a password by itself, or nearly.
            if plain.contains(&word) && plain.replace(&word, "").chars().count() + 4 < self.min_chars {
                return refused(Text::key("error-password-name"));
            }
        }
        Ok(())
    }
}

/// One character or a short run again and again, or characters in their order: aaaaaaaaaa, abcabcabcabc, 23456789012.
fn is_pattern(password: &str) -> bool {
    let letters: Vec<char> = password.chars().collect();
    let repeats = |period: usize| letters.iter().zip(letters.iter().skip(period)).all(|(one, next)| one == next);
    let codes: Vec<i64> = letters.iter().map(|letter| i64::from(u32::from(*letter))).collect();
    let steps: Vec<i64> = codes.iter().zip(codes.iter().skip(1)).map(|(one, next)| next - one).collect();
    let counts = |step: i64| steps.iter().all(|found| *found == step || (*found).abs() == 9);
    (1..=4).any(|period| letters.len() > period && repeats(period)) || counts(1) || counts(-1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(password: &str) -> Option<&'static str> {
        match PasswordRules::default().check("password", password, &["wangfang", "王芳芳"]) {
            Ok(()) => None,
            Err(Error::Invalid(fields)) => Some(fields[0].text.key),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_guessed_first_is_no_password() {
        assert_eq!(refusal("short-one"), Some("error-password-short"));
        for common in ["Password123", "aaaaaaaaaaaa", "abcabcabcabc", "1234567890123", "zyxwvutsrqp", "WOAINI1314"] {
            assert_eq!(refusal(common), Some("error-password-common"), "{common}");
        }
        for name in ["wangfang2026", "2026WangFang", "songhe2026!"] {
            assert_eq!(refusal(name), Some("error-password-name"), "{name}");
        }
        for fine in ["correct-horse", "雨后院子里有三只鸟在叫", "wangfang likes seven birds", "a-long-password"]
        {
            assert_eq!(refusal(fine), None, "{fine}");
        }
    }
}
