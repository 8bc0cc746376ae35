//! The screens in a real browser, through the real server: the alarm board with its sound, a broken network, two tabs,
//! accessibility, and pictures of every screen to be looked at.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accessible;
mod board;
mod network;
mod pages;
mod pictures;
mod stage;
mod tabs;
