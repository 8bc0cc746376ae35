//! `songhe cert`: HTTPS on a local network, where no public authority gives certificates.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::tls;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Host names and addresses under which the server is reached
    #[arg(required = true)]
    names: Vec<String>,
    /// Where the files go
    #[arg(long, default_value = "songhe-data/tls")]
    out: PathBuf,
}

/// Served to phones as a file, read by people: how to trust the authority.
const PAGE: &str = include_str!("../../templates/kernel/install-authority.html");

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let made = tls::make_local(&arguments.names)?;
    std::fs::create_dir_all(&arguments.out)?;
    let file = |name: &str| arguments.out.join(name);
    write(&file("authority.crt"), &made.authority, false)?;
    write(&file("certificate.pem"), &made.certificate, false)?;
    write(&file("key.pem"), &made.key, true)?;
    write(&file("install.html"), PAGE, false)?;
    let out = arguments.out.display();
    println!("Made for {}, valid 820 days:", arguments.names.join(", "));
    println!(
        "  {out}/authority.crt    install this once on every phone, tablet and desk: {out}/install.html tells how"
    );
    println!("  {out}/certificate.pem  tls.certificate of the configuration");
    println!("  {out}/key.pem          tls.key of the configuration; keep it secret");
    Ok(())
}

fn write(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mode = if secret { 0o600 } else { 0o644 };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| {
        Failure(match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!(
                    "{} is there already. Move it away first: phones that trust it would refuse another.",
                    path.display()
                )
            }
            _ => format!("{} cannot be written: {error}", path.display()),
        })
    })?;
    Ok(file.write_all(text.as_bytes())?)
}
