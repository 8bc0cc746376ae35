//! The scope tree as somebody who gives out roles sees it: nodes by name, and what lies below each.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;

use super::schema::scope_node;
use super::{NodeKind, Scope};
use crate::db::Db;
use crate::error::Result;
use crate::ids::{FacilityId, decode, encode};

/// Of a region's id outside.
const REGION: &str = "reg";
/// The whole system.
const EVERYWHERE: &str = "*";

/// Where a role is held: `fac_…`, `reg_…`, or `*` for the whole system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(pub Option<i64>, bool);

impl At {
    pub const EVERYWHERE: Self = Self(None, false);

    fn of(node: &Node) -> Self {
        Self(Some(node.id), node.facility)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(None, _) => f.write_str(EVERYWHERE),
            Self(Some(id), true) => fmt::Display::fmt(&FacilityId(*id), f),
            Self(Some(id), false) => f.write_str(&encode(REGION, *id)),
        }
    }
}

impl FromStr for At {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == EVERYWHERE {
            return Ok(Self::EVERYWHERE);
        }
        let facility = text.parse::<FacilityId>().ok().map(|id| Self(Some(id.0), true));
        facility.or_else(|| decode(REGION, text).map(|id| Self(Some(id), false))).ok_or(())
    }
}

struct Node {
    id: i64,
    facility: bool,
    name: String,
    path: String,
}

/// All nodes, each before what lies below it.
pub(super) struct Tree(Vec<Node>);

impl Tree {
    pub(super) fn load(db: &mut Db) -> Result<Self> {
        let rows: Vec<(i64, String, String, String)> = scope_node::table
            .order(scope_node::path)
            .select((scope_node::id, scope_node::kind, scope_node::name, scope_node::path))
            .load(db)?;
        let node = |(id, kind, name, path): (i64, String, String, String)| Node {
            id,
            facility: kind == NodeKind::Facility.as_str(),
            name,
            path,
        };
        Ok(Self(rows.into_iter().map(node).collect()))
    }

    fn node(&self, id: i64) -> Option<&Node> {
        self.0.iter().find(|node| node.id == id)
    }

    /// Whether everything that a node reaches lies within a scope, and there is something.
    pub(super) fn covers(&self, scope: &Scope, node: Option<i64>) -> bool {
        let Scope::Only(_) = scope else { return true };
        let Some(top) = node.and_then(|id| self.node(id)) else { return false };
        let mut below = self.0.iter().filter(|node| node.facility && node.path.starts_with(&top.path)).peekable();
        below.peek().is_some() && below.all(|node| scope.contains(FacilityId(node.id)))
    }

    /// The nodes within a scope, by id.
    pub(super) fn within(&self, scope: &Scope) -> Vec<i64> {
        self.0.iter().filter(|node| self.covers(scope, Some(node.id))).map(|node| node.id).collect()
    }

    pub(super) fn at(&self, node: Option<i64>) -> At {
        node.and_then(|id| self.node(id)).map_or(At::EVERYWHERE, At::of)
    }

    /// The facility that a node is.
    pub(super) fn facility(&self, node: Option<i64>) -> Option<FacilityId> {
        node.and_then(|id| self.node(id)).filter(|node| node.facility).map(|node| FacilityId(node.id))
    }

    /// A node's name; `None` for the whole system.
    pub(super) fn name(&self, node: Option<i64>) -> Option<String> {
        node.and_then(|id| self.node(id)).map(|node| node.name.clone())
    }

    /// What a select offers: the whole path of names, since streets and houses of one name are many.
    pub(super) fn choices(&self, scope: &Scope) -> Vec<(At, String)> {
        let names: HashMap<i64, &str> = self.0.iter().map(|node| (node.id, node.name.as_str())).collect();
        let label = |node: &Node| {
            let above = node.path.split('/').filter_map(|id| names.get(&id.parse::<i64>().ok()?).copied());
            above.collect::<Vec<_>>().join(" / ")
        };
        let within = self.0.iter().filter(|node| self.covers(scope, Some(node.id)));
        within.map(|node| (At::of(node), label(node))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_reads_back_what_it_wrote() {
        for at in [At::EVERYWHERE, At(Some(7), true), At(Some(7), false)] {
            assert_eq!(at.to_string().parse::<At>(), Ok(at));
        }
        assert!("".parse::<At>().is_err() && "usr_0000000000001".parse::<At>().is_err());
    }

    #[test]
    fn a_node_is_covered_when_all_below_it_is() {
        let node = |id: i64, facility, path: &str| Node { id, facility, name: String::new(), path: path.into() };
        let tree =
            Tree(vec![node(1, false, "/1/"), node(2, true, "/1/2/"), node(3, true, "/1/3/"), node(4, false, "/4/")]);
        let both = Scope::Only(vec![FacilityId(2), FacilityId(3)]);
        assert_eq!(tree.within(&both), [1, 2, 3]);
        assert_eq!(tree.within(&Scope::Only(vec![FacilityId(3)])), [3]);
        assert!(!tree.covers(&both, None) && !tree.covers(&both, Some(9)) && tree.covers(&Scope::All, None));
    }
}
