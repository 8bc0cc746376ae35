//! What a record says in codes: income, disability, living, diet. Allergens are those of GB 7718-2025, textures and IDDSI
//! levels those of kitchens; the words for each are in `templates/locales`.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::{Error, Result};

use crate::text_enum::text_enum;

text_enum! {
    /// What subsidies ask about a household's means.
    pub enum IncomeClass {
        /// 特困.
        ExtremePoverty = "extreme_poverty",
        /// 低保.
        MinimumLiving = "minimum_living",
        /// 低保边缘.
        NearMinimumLiving = "near_minimum_living",
        /// 低收入.
        LowIncome = "low_income",
        /// 普通.
        Ordinary = "ordinary",
    }
}

text_enum! {
    /// The kinds of the disability certificate (GB/T 26341).
    pub enum DisabilityKind {
        Visual = "visual",
        Hearing = "hearing",
        Speech = "speech",
        Physical = "physical",
        Intellectual = "intellectual",
        Mental = "mental",
        Multiple = "multiple",
    }
}

text_enum! {
    /// With whom somebody lives.
    pub enum LivingSituation {
        Alone = "alone",
        WithSpouse = "with_spouse",
        WithChildren = "with_children",
        WithRelatives = "with_relatives",
        /// A carer or nanny who lives in.
        WithHelper = "with_helper",
        Institution = "institution",
    }
}

text_enum! {
    /// Allergens of GB 7718-2025.
    pub enum Allergen {
        GlutenCereals = "gluten_cereals",
        Crustaceans = "crustaceans",
        Fish = "fish",
        Eggs = "eggs",
        Peanuts = "peanuts",
        Soy = "soy",
        Milk = "milk",
        TreeNuts = "tree_nuts",
    }
}

text_enum! {
    /// 普食, 软食, 半流质, 流质, 匀浆.
    pub enum DietTexture {
        Regular = "regular",
        Soft = "soft",
        SemiLiquid = "semi_liquid",
        Liquid = "liquid",
        Blended = "blended",
    }
}

text_enum! {
    /// Therapeutic diets, and what somebody does not eat by faith or will.
    pub enum Diet {
        LowSalt = "low_salt",
        LowFat = "low_fat",
        LowCholesterol = "low_cholesterol",
        Diabetic = "diabetic",
        LowPurine = "low_purine",
        LowProtein = "low_protein",
        HighProtein = "high_protein",
        LowResidue = "low_residue",
        Halal = "halal",
        Vegetarian = "vegetarian",
    }
}

/// Kind and grade of the disability certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disability {
    pub kind: DisabilityKind,
    /// 1 (gravest) to 4.
    #[schemars(range(min = 1, max = 4))]
    pub grade: i16,
}

/// A set of codes as one column holds it: `eggs,fish`, in the order of their list, each once.
pub(super) fn joined<T: Display + Ord + Copy>(codes: &[T]) -> String {
    sorted(codes).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Each once, in the order of their list.
pub(super) fn sorted<T: Ord + Copy>(codes: &[T]) -> Vec<T> {
    let mut codes = codes.to_vec();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The inverse of [`joined`].
///
/// # Errors
/// `Internal` for a code that nobody knows: never a person without their allergy.
pub(super) fn split<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let codes = text.split(',').filter(|code| !code.is_empty());
    codes.map(|code| parse(code).ok_or_else(|| Error::Internal(format!("stored code {code}")))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_set_comes_back_as_it_was_and_an_unknown_code_is_no_empty_set() {
        let text = joined(&[Allergen::Milk, Allergen::Eggs, Allergen::Milk]);
        assert_eq!(text, "eggs,milk");
        assert_eq!(split(&text, Allergen::parse).unwrap(), [Allergen::Eggs, Allergen::Milk]);
        assert_eq!(split("", Allergen::parse).unwrap(), []);
        assert!(split("eggs,shellfish", Allergen::parse).is_err());
    }
}
