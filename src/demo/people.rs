//! The demo's people. Their names are the placeholder names of Chinese texts (赵甲, 钱乙 …): nobody is called so.

use chrono::NaiveDate;
use songhe_kernel::identity::Role;

/// An account of the demo.
pub(super) struct Account {
    pub(super) username: &'static str,
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// Told on the terminal.
    pub(super) what: &'static str,
}

const fn account(username: &'static str, name: &'static str, role: Role, what: &'static str) -> Account {
    Account { username, name, role, what }
}

/// One for each role.
pub(super) const ACCOUNTS: &[Account] = &[
    account("carer", "演示护理员", Role::Carer, "答复呼叫 answers calls, at both facilities"),
    account("nurse", "演示护士", Role::Nurse, "护士长，排班 nurse lead"),
    account("manager", "演示院长", Role::FacilityAdmin, "管理机构 runs both facilities"),
    account("supervisor", "演示街道督导", Role::Supervisor, "街道监管 supervises the street"),
    account("admin", "演示系统管理员", Role::SystemAdmin, "整个系统 the whole system"),
    account("family", "演示家属", Role::Family, "家属 a relative"),
    account("cashier", "演示收银员", Role::Cashier, "助老餐厅，后续版本 canteen, to come"),
    account("therapist", "演示康复师", Role::Therapist, "康复中心，后续版本 rehabilitation, to come"),
    account("pharmacist", "演示药师", Role::Pharmacist, "智慧药房，后续版本 pharmacy, to come"),
];

const SURNAMES: [&str; 17] =
    ["赵", "钱", "孙", "李", "周", "吴", "郑", "冯", "陈", "褚", "卫", "蒋", "沈", "韩", "杨", "朱", "秦"];
const STEMS: [&str; 10] = ["甲", "乙", "丙", "丁", "戊", "己", "庚", "辛", "壬", "癸"];

/// The n-th placeholder name; 170 differ.
pub(super) fn name(n: usize) -> String {
    let surname = SURNAMES.get(n % SURNAMES.len()).copied().unwrap_or("某");
    let stem = STEMS.get(n % STEMS.len()).copied().unwrap_or("某");
    format!("{surname}{stem}")
}

/// A birth date between 1930 and 1955, spread evenly.
pub(super) fn birth_date(n: usize) -> Option<NaiveDate> {
    let n = i32::try_from(n).unwrap_or_default();
    NaiveDate::from_ymd_opt(1930 + (n * 7) % 26, 1 + (n.unsigned_abs() * 5) % 12, 1 + (n.unsigned_abs() * 11) % 28)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_accounts_differ() {
        let names: std::collections::HashSet<String> = (0..170).map(name).collect();
        assert_eq!(names.len(), 170);
        for role in Role::ALL {
            assert_eq!(ACCOUNTS.iter().filter(|account| account.role == role).count(), 1, "{role}");
        }
    }
}
