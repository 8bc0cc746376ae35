//! Migrations are embedded by a macro that cargo does not watch: a new one has to build the kit anew.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
