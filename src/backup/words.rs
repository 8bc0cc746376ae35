//! A trouble in both languages: it is kept, and read by people who read one of them.

use songhe_kernel::i18n::Locale;
use songhe_kernel::pages::Pages;
use songhe_kernel::{Moment, Result};

use super::Trouble;
use super::records::Failed;

pub(super) fn failed(at: Moment, trouble: &Trouble) -> Result<Failed> {
    let i18n = Pages::load()?.i18n();
    Ok(Failed { at, zh_cn: i18n.say(Locale::ZhCn, &trouble.0), en: i18n.say(Locale::En, &trouble.0) })
}
