//! `songhe user add`: the first accounts of a new server, and a forgotten password.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, find_user_id, grant_role, set_password};
use songhe_kernel::{Error, FacilityId, SystemClock, Text};

use super::Failure;
use super::words::{Inputs, Words};
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
        /// The facility or region at which the role is held (fac_… as the API shows it)
        #[arg(long, conflicts_with = "everywhere")]
        at: Option<String>,
        /// The role is held at every facility; a system_admin's always is
        #[arg(long)]
        everywhere: bool,
    },
    /// Sets a new password, read from standard input, and ends all sessions of the account
    Password {
        #[arg(long)]
        config: Option<PathBuf>,
        username: String,
    },
}

const INPUTS: Inputs = &[("username", "USERNAME"), ("display_name", "--name"), ("at", "--at")];

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { config, username, name, role, at, everywhere } => {
            let words = Words::load()?;
            let role = role_of(&words, &role)?;
            if at.is_none() && !everywhere && role != Role::SystemAdmin {
                return Err(words.failure(&Text::key("cli-role-where").arg("role", role.as_str())));
            }
            add(&words, config, username, name, role, at).await
        }
        Command::Password { config, username } => password(config, username).await,
    }
}

fn role_of(words: &Words, role: &str) -> Result<Role, Failure> {
    role.parse().map_err(|_| {
        let all = Role::ALL.map(Role::as_str).join(", ");
        words.failure(&Text::key("cli-unknown-role").arg("role", role).arg("all", all))
    })
}

async fn add(
    words: &Words,
    config: Option<PathBuf>,
    username: String,
    name: String,
    role: Role,
    at: Option<String>,
) -> Result<(), Failure> {
    let node = match &at {
        Some(text) => Some(
            text.parse::<FacilityId>().map_err(|_| words.failure(&Text::key("cli-no-facility-id").arg("at", text)))?.0,
        ),
        None => None,
    };
    let config = Config::load(config.as_deref(), std::env::vars())?;
    let hash = read_password(words, &config, vec![username.clone(), name.clone()]).await?;
    let opened =
        open_database(&config, Arc::new(SystemClock::new())).await.map_err(|error| words.start_failure(&error))?;
    let user = NewUser { username: username.clone(), display_name: name, password: hash, locale: None };
    let at = at.unwrap_or_default();
    let made = opened
        .db
        .write(move |tx| {
            let id = create_user(tx, &user)?;
            grant_role(tx, id, role, node).map_err(|error| match error {
                Error::NotFound => Error::field("at", Text::key("cli-no-such-node").arg("at", &at)),
                other => other,
            })
        })
        .await;
    match made {
        Ok(()) => {
            println!("{}", words.say(&Text::key("cli-account-made").arg("name", username).arg("role", role.as_str())));
            Ok(())
        }
        Err(error) => {
            let why = Text::key("cli-account-not-made").arg("name", &username).arg("why", words.why(&error, INPUTS));
            Err(Failure(format!("{}{}", words.say(&why), words.say(&mend(&error, &username)))))
        }
    }
}

/// What to do about an account that was not made.
fn mend(error: &Error, username: &str) -> Text {
    match error {
        Error::Invalid(fields) if fields.iter().any(|field| field.text.key == "error-username-taken") => {
            Text::key("cli-username-taken").arg("name", username)
        }
        Error::Invalid(_) => Text::key("cli-correct-it"),
        _ => Text::key("cli-try-again"),
    }
}

async fn password(config: Option<PathBuf>, username: String) -> Result<(), Failure> {
    let words = Words::load()?;
    let config = Config::load(config.as_deref(), std::env::vars())?;
    let hash = read_password(&words, &config, vec![username.clone()]).await?;
    let opened =
        open_database(&config, Arc::new(SystemClock::new())).await.map_err(|error| words.start_failure(&error))?;
    let name = username.clone();
    let id = opened
        .db
        .read(move |db| find_user_id(db, &name))
        .await?
        .ok_or_else(|| words.failure(&Text::key("cli-no-account").arg("name", &username)))?;
    opened.db.write(move |tx| set_password(tx, id, &hash)).await?;
    println!("{}", words.say(&Text::key("cli-password-set").arg("name", username)));
    Ok(())
}

/// One line of standard input: never an argument, which every user of the machine could read.
async fn read_password(words: &Words, config: &Config, names: Vec<String>) -> Result<PasswordHash, Failure> {
    if std::io::stdin().is_terminal() {
        eprint!("{}", words.say(&Text::key("cli-password-prompt")));
    }
    let rules = config.accounts.rules();
    let made = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(Error::internal)?;
        let password = line.trim_end_matches(['\r', '\n']);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        rules.check("password", password, &names)?;
        PasswordHash::make(password)
    });
    made.await?.map_err(|error| {
        let why = match &error {
            Error::Invalid(fields) => fields.iter().map(|field| words.say(&field.text)).collect::<String>(),
            other => other.to_string(),
        };
        words.failure(&Text::key("cli-password-refused").arg("why", why))
    })
}
