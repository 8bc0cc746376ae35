//! Under which letters a name is looked for: any part of it, its pinyin, and its initials.
//!
//! A person at a desk types "王秀", "秀英", "wangxy", "wxy" or "xiuying". Each name gives the beginnings of all these as
//! tokens; a search is then a range of an index, however many residents there are. Pure.

use std::collections::BTreeSet;

use pinyin::ToPinyinMulti;

/// Grows when the rules below change: names that were taken apart by other rules are taken apart again.
pub(crate) const RULES: i16 = 1;

/// Characters of a token that count.
const TOKEN_CHARS: usize = 48;
/// Names have fewer characters; of longer ones the first are found.
const NAME_CHARS: usize = 24;
/// Ways to read one name that are kept: the likely ones come first.
const MAX_READINGS: usize = 6;
/// Ways to read one character of a given name: others are found in dictionaries only.
const MAX_CHARACTER_READINGS: usize = 2;

/// Surnames whose characters read otherwise than in words, with those of two characters. Where two readings are in use,
/// both are there.
const SURNAMES: &[(&str, &[&[&str]])] = &[
    ("单", &[&["shan"]]),
    ("仇", &[&["qiu"]]),
    ("曾", &[&["zeng"]]),
    ("解", &[&["xie"]]),
    ("查", &[&["zha"]]),
    ("任", &[&["ren"]]),
    ("朴", &[&["piao"], &["pu"]]),
    ("盖", &[&["ge"], &["gai"]]),
    ("区", &[&["ou"]]),
    ("乐", &[&["yue"], &["le"]]),
    ("燕", &[&["yan"]]),
    ("华", &[&["hua"]]),
    ("翟", &[&["zhai"], &["di"]]),
    ("繁", &[&["po"]]),
    ("覃", &[&["qin"], &["tan"]]),
    ("晁", &[&["chao"]]),
    ("员", &[&["yun"]]),
    ("种", &[&["chong"]]),
    ("秘", &[&["bi"]]),
    ("冼", &[&["xian"]]),
    ("洗", &[&["xian"]]),
    ("折", &[&["she"]]),
    ("黑", &[&["he"], &["hei"]]),
    ("缪", &[&["miao"]]),
    ("召", &[&["shao"]]),
    ("隗", &[&["wei"], &["kui"]]),
    ("撒", &[&["sa"]]),
    ("卜", &[&["bu"]]),
    ("葛", &[&["ge"]]),
    ("那", &[&["na"]]),
    ("哈", &[&["ha"]]),
    ("逄", &[&["pang"]]),
    ("能", &[&["nai"]]),
    ("谌", &[&["chen"], &["shen"]]),
    ("牟", &[&["mu"], &["mou"]]),
    ("么", &[&["yao"]]),
    ("幺", &[&["yao"]]),
    ("纪", &[&["ji"]]),
    ("车", &[&["che"]]),
    ("尹", &[&["yin"]]),
    ("宁", &[&["ning"]]),
    ("宿", &[&["su"]]),
    ("祭", &[&["zhai"]]),
    ("句", &[&["gou"]]),
    ("勾", &[&["gou"]]),
    ("过", &[&["guo"]]),
    ("应", &[&["ying"]]),
    ("石", &[&["shi"]]),
    ("贾", &[&["jia"]]),
    ("沈", &[&["shen"]]),
    ("余", &[&["yu"]]),
    ("柏", &[&["bai"], &["bo"]]),
    ("费", &[&["fei"]]),
    ("臧", &[&["zang"]]),
    ("都", &[&["du"]]),
    ("盛", &[&["sheng"]]),
    ("贲", &[&["ben"]]),
    ("郗", &[&["xi"], &["chi"]]),
    ("郇", &[&["xun"], &["huan"]]),
    ("尉迟", &[&["yu", "chi"]]),
    ("万俟", &[&["mo", "qi"]]),
    ("长孙", &[&["zhang", "sun"]]),
    ("令狐", &[&["ling", "hu"]]),
    ("澹台", &[&["tan", "tai"]]),
    ("欧阳", &[&["ou", "yang"]]),
    ("司马", &[&["si", "ma"]]),
    ("上官", &[&["shang", "guan"]]),
    ("诸葛", &[&["zhu", "ge"]]),
    ("夏侯", &[&["xia", "hou"]]),
    ("皇甫", &[&["huang", "fu"]]),
    ("东方", &[&["dong", "fang"]]),
    ("慕容", &[&["mu", "rong"]]),
    ("司徒", &[&["si", "tu"]]),
    ("公孙", &[&["gong", "sun"]]),
    ("宇文", &[&["yu", "wen"]]),
    ("端木", &[&["duan", "mu"]]),
    ("呼延", &[&["hu", "yan"]]),
    ("南宫", &[&["nan", "gong"]]),
];

/// Common surnames that dictionaries give a rare reading besides: as surnames they are read the first way.
const READ_THE_FIRST_WAY: &str = "王吴朱许冯邓彭董潘于蔡杜叶丁姚陆汪夏方白陶郝万莫汤俞褚";

/// What is compared of a name or of what was typed: small letters without blanks and marks between parts.
pub(crate) fn compared(text: &str) -> String {
    let letters = text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ü' { 'v' } else { c });
    let between = |c: &char| c.is_whitespace() || matches!(c, '·' | '•' | '・' | '‧' | '.' | '\'' | '’' | '-');
    letters.filter(|c| !between(c)).take(TOKEN_CHARS).collect()
}

/// The tokens of a name.
pub(crate) fn tokens(name: &str) -> BTreeSet<String> {
    let letters: Vec<char> = compared(name).chars().take(NAME_CHARS).collect();
    let mut tokens: BTreeSet<String> =
        (0..letters.len()).filter_map(|from| letters.get(from..)).map(|part| part.iter().collect()).collect();
    let (surname_chars, readings) = readings(&letters);
    for syllables in readings {
        let initials = |from: usize| -> String {
            syllables.iter().skip(from).filter_map(|syllable| syllable.chars().next()).collect()
        };
        let whole = |from: usize| syllables.iter().skip(from).map(String::as_str).collect::<String>();
        let surname: String = syllables.iter().take(surname_chars).map(String::as_str).collect();
        tokens.extend([whole(0), whole(surname_chars), initials(0), initials(surname_chars)]);
        tokens.insert(surname + &initials(surname_chars));
    }
    tokens.remove("");
    tokens.into_iter().map(|token| token.chars().take(TOKEN_CHARS).collect()).collect()
}

/// How many characters the surname has, and the ways to read the name, syllable by syllable; none for a name that is not
/// written in Chinese characters.
fn readings(letters: &[char]) -> (usize, Vec<Vec<String>>) {
    if !letters.iter().any(|c| c.to_pinyin_multi().is_some()) {
        return (0, Vec::new());
    }
    let name: String = letters.iter().collect();
    // Those of two characters come last, and count before those of one.
    let known = SURNAMES.iter().rev().find(|(surname, _)| name.starts_with(surname));
    let (surname_chars, mut ways): (usize, Vec<Vec<String>>) = match known {
        Some((surname, ways)) => {
            let ways = ways.iter().map(|syllables| syllables.iter().map(|s| (*s).to_owned()).collect());
            (surname.chars().count(), ways.collect())
        }
        None => (1, vec![Vec::new()]),
    };
    let rest = if known.is_some() { surname_chars } else { 0 };
    for (at, letter) in letters.iter().enumerate().skip(rest) {
        let mut syllables = syllables(*letter);
        if at == 0 && READ_THE_FIRST_WAY.contains(*letter) {
            syllables.truncate(1);
        }
        let longer = ways.iter().flat_map(|way| {
            syllables.iter().map(move |syllable| {
                let mut way = way.clone();
                way.push(syllable.clone());
                way
            })
        });
        ways = longer.take(MAX_READINGS).collect();
    }
    (surname_chars, ways)
}

fn syllables(letter: char) -> Vec<String> {
    let Some(known) = letter.to_pinyin_multi() else { return vec![letter.to_string()] };
    let mut all: Vec<String> = Vec::new();
    for reading in known {
        let plain = reading.plain().replace('ü', "v");
        if !all.contains(&plain) && all.len() < MAX_CHARACTER_READINGS {
            all.push(plain);
        }
    }
    // 吕 is typed lv by some and lu by others.
    let without = all.iter().filter(|syllable| syllable.contains('v')).map(|syllable| syllable.replace('v', "u"));
    let without: Vec<String> = without.collect();
    all.extend(without);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(name: &str, typed: &str) -> bool {
        let typed = compared(typed);
        tokens(name).iter().any(|token| token.starts_with(&typed))
    }

    #[test]
    fn a_name_is_found_by_part_pinyin_and_initials() {
        for typed in [
            "王",
            "王秀",
            "秀英",
            "英",
            "wang",
            "wangxiuying",
            "wang xiu",
            "Wang Xiuying",
            "xiuying",
            "wxy",
            "xy",
            "wangxy",
            "WXY",
        ] {
            assert!(finds("王秀英", typed), "{typed}");
        }
        for typed in ["王英", "李", "wxq", "ying秀", "xiuyingwang"] {
            assert!(!finds("王秀英", typed), "{typed}");
        }
    }

    #[test]
    fn surnames_read_as_surnames() {
        for (name, right, wrong) in [
            ("单田芳", "shan", "dan"),
            ("仇英", "qiu", "chou"),
            ("曾国强", "zeng", "ceng"),
            ("解晓东", "xie", "jie"),
            ("查良民", "zha", "cha"),
            ("区志明", "ou", "qu"),
            ("尉迟恭", "yuchi", "weichi"),
            ("万俟雅", "moqi", "wansi"),
            ("长孙明", "zhangsun", "changsun"),
            ("召平", "shao", "zhao"),
            ("任长霞", "ren", "renn"),
            ("王秀英", "wang", "yu"),
            ("邓桂芳", "deng", "shan"),
        ] {
            assert!(finds(name, right), "{name} {right}");
            assert!(!finds(name, wrong), "{name} {wrong}");
        }
        for both in ["lejia", "yuejia"] {
            assert!(finds("乐嘉", both), "{both}");
        }
        for both in ["lvmei", "lumei", "lümei"] {
            assert!(finds("吕梅", both), "{both}");
        }
        assert!(finds("欧阳娜", "oyn") && finds("欧阳娜", "ouyangn") && finds("欧阳娜", "na"));
        // A given name may read either way.
        assert!(finds("赵乐", "zhaole") && finds("赵乐", "zhaoyue"));
    }

    #[test]
    fn other_names_are_found_by_their_parts() {
        for typed in ["O'Brien", "obrien", "brien", "john"] {
            assert!(finds("John O’Brien", typed), "{typed}");
        }
        assert!(finds("阿依古丽·买买提", "买买提") && finds("阿依古丽·买买提", "ayiguli"));
        assert!(finds("𠮷田", "𠮷"));
        assert_eq!(compared(" ·'"), "");
    }

    #[test]
    fn a_name_has_few_tokens() {
        // 英 is also a rare word read "yang"; 王 as a surname is never read "yu".
        let all = "wangxiuyang wangxiuying wangxy wxy xiuyang xiuying xy 王秀英 秀英 英";
        assert_eq!(tokens("王秀英").into_iter().collect::<Vec<_>>().join(" "), all);
        assert!(tokens(&"长乐".repeat(30)).len() <= 60);
    }
}
