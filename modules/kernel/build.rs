//! Release builds embed templates, texts and assets by a macro that cargo does not watch: a change has to build the
//! kernel anew. Debug builds read them from disk as they are, and need not.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=../../templates");
    }
}
