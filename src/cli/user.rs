//! `songhe user add`: the first accounts of a new server, and a forgotten password.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use songhe_kernel::SystemClock;
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, find_user_id, grant_role, set_password};

use super::Failure;
use crate::assembly::open_database;
use crate::config::Config;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Makes an account with a role; the password is read from standard input
    Add {
        #[arg(long)]
        config: Option<PathBuf>,
        username: String,
        /// As others see it
        #[arg(long)]
        name: String,
        /// system_admin, facility_admin, nurse, carer, cashier, pharmacist, therapist, supervisor or family
        #[arg(long)]
        role: String,
        /// The facility or region at which the role is held (fac_… as the API shows it); without it everywhere
        #[arg(long)]
        at: Option<String>,
    },
    /// Sets a new password, read from standard input, and ends all sessions of the account
    Password {
        #[arg(long)]
        config: Option<PathBuf>,
        username: String,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { config, username, name, role, at } => add(config, username, name, &role, at).await,
        Command::Password { config, username } => password(config, username).await,
    }
}

async fn add(
    config: Option<PathBuf>,
    username: String,
    name: String,
    role: &str,
    at: Option<String>,
) -> Result<(), Failure> {
    let role: Role = role.parse().map_err(|_| {
        let all = Role::ALL.map(Role::as_str).join(", ");
        Failure(format!("There is no role {role}. Choose one of {all}."))
    })?;
    let node = match at {
        Some(text) => Some(
            text.parse::<songhe_kernel::FacilityId>()
                .map_err(|_| Failure(format!("{text} is no facility: it looks like fac_ and 13 characters.")))?
                .0,
        ),
        None => None,
    };
    let config = Config::load(config.as_deref(), std::env::vars())?;
    let hash = read_password().await?;
    let opened = open_database(&config, Arc::new(SystemClock::new())).await?;
    let user = NewUser { username: username.clone(), display_name: name, password: hash, locale: None };
    opened
        .db
        .write(move |tx| {
            let id = create_user(tx, &user)?;
            grant_role(tx, id, role, node)
        })
        .await
        .map_err(|error| Failure(format!("The account {username} was not made: {error}")))?;
    println!("{username} can sign in as {role}.");
    Ok(())
}

async fn password(config: Option<PathBuf>, username: String) -> Result<(), Failure> {
    let config = Config::load(config.as_deref(), std::env::vars())?;
    let hash = read_password().await?;
    let opened = open_database(&config, Arc::new(SystemClock::new())).await?;
    let name = username.clone();
    let id = opened
        .db
        .read(move |db| find_user_id(db, &name))
        .await?
        .ok_or_else(|| Failure(format!("There is no account {username}.")))?;
    opened.db.write(move |tx| set_password(tx, id, &hash)).await?;
    println!("{username} has a new password and is signed out everywhere.");
    Ok(())
}

/// One line of standard input: never an argument, which every user of the machine could read.
async fn read_password() -> Result<PasswordHash, Failure> {
    if std::io::stdin().is_terminal() {
        eprint!("New password (it will be shown as you type): ");
    }
    let made = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(songhe_kernel::Error::internal)?;
        PasswordHash::make(line.trim_end_matches(['\r', '\n']))
    });
    made.await?.map_err(|error| Failure(format!("The password cannot be used: {error}")))
}
