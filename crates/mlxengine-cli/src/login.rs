//! `mlxengine login` and `mlxengine logout`: the access token of the Hub.

use std::io::{self, IsTerminal as _, Read as _};

use console::Term;
use mlxengine::{
    StoreError,
    hub::{Account, Environment, HubClientBuilder, HubError, Token, TokenSource},
};
use serde::Serialize;

use crate::{
    args::{LoginArgs, LogoutArgs},
    failure::Failure,
    interrupt::Interrupt,
    note,
    output::Output,
};

/// More than any token has.
const MOST_BYTES: u64 = 4096;

#[derive(Serialize)]
struct LoggedIn {
    account: Option<Account>,
    /// The file's path, or "the keychain".
    kept_in: String,
}

#[derive(Serialize)]
struct LoggedOut {
    removed: bool,
    path: String,
}

pub(crate) async fn login(args: LoginArgs) -> Result<(), Failure> {
    let environment = environment()?;
    // Before Ctrl-C is caught: while the token is typed it ends the program at once.
    let token = read_token()?;
    let mut interrupt = Interrupt::new();
    let account = if args.no_check {
        None
    } else {
        let whose = account(&environment, token.clone());
        let account = interrupt.or(whose).await.ok_or(Failure::Interrupted)?;
        Some(account.map_err(failed)?)
    };
    let kept_in = keep(&args, &environment, &token).map_err(failed)?;
    warn_of_variables(&environment);
    let mut output = Output::new();
    if args.json {
        return output.json(&LoggedIn { account, kept_in });
    }
    let whose = account.map_or(String::new(), |account| format!(" of {}", account.name));
    output.text(&format!("the token{whose} is kept in {kept_in}\n"))
}

/// Keeps the token, and says where.
#[cfg_attr(
    not(feature = "keyring"),
    expect(unused_variables, reason = "there is no choice")
)]
fn keep(args: &LoginArgs, environment: &Environment, token: &Token) -> Result<String, HubError> {
    #[cfg(feature = "keyring")]
    if args.keychain {
        mlxengine::hub::Keychain::new(&environment.endpoint).write(token)?;
        return Ok("the keychain".to_owned());
    }
    let file = environment.token_store();
    file.write(token)?;
    Ok(file.path().display().to_string())
}

/// Deletes the token from the keychain; says whether there was one.
#[cfg(feature = "keyring")]
fn forget_in_keychain(environment: &Environment) -> bool {
    let keychain = mlxengine::hub::Keychain::new(&environment.endpoint);
    keychain.remove().unwrap_or_else(|error| {
        tracing::debug!(%error, "the keychain was left alone");
        false
    })
}

pub(crate) fn logout(args: &LogoutArgs) -> Result<(), Failure> {
    let environment = environment()?;
    let file = environment.token_store();
    let removed = file.remove().map_err(failed)?;
    #[cfg(feature = "keyring")]
    let removed = forget_in_keychain(&environment) || removed;
    warn_of_variables(&environment);
    let mut output = Output::new();
    let path = file.path().display().to_string();
    if args.json {
        return output.json(&LoggedOut { removed, path });
    }
    if removed {
        output.text(&format!("the token in {path} is deleted\n"))
    } else {
        output.text(&format!("there was no token in {path}\n"))
    }
}

fn environment() -> Result<Environment, Failure> {
    Environment::from_process().map_err(failed)
}

fn failed(error: HubError) -> Failure {
    Failure::Store(StoreError::Hub(error))
}

/// A file that counts less than a variable would surprise.
fn warn_of_variables(environment: &Environment) {
    match &environment.token {
        TokenSource::Variable { name, .. } => {
            note::say(&format!(
                "{name} is set, and its token counts more than the file"
            ));
        }
        TokenSource::Disabled => {
            note::say("HF_HUB_DISABLE_IMPLICIT_TOKEN is set, so the file is not used");
        }
        _ => {}
    }
}

async fn account(environment: &Environment, token: Token) -> Result<Account, HubError> {
    let hub = HubClientBuilder::from(environment).token(token).build()?;
    hub.whoami().await
}

fn read_token() -> Result<Token, Failure> {
    let failed = |source| Failure::Read {
        what: "the access token".to_owned(),
        source,
    };
    let text = if io::stdin().is_terminal() {
        note::say("An access token is made at https://huggingface.co/settings/tokens.");
        let terminal = Term::stderr();
        terminal
            .write_str("Access token (not shown): ")
            .and_then(|()| terminal.read_secure_line())
            .map_err(failed)?
    } else {
        let mut text = String::new();
        let mut stdin = io::stdin().lock().take(MOST_BYTES);
        stdin.read_to_string(&mut text).map_err(failed)?;
        text
    };
    Token::new(&text).map_err(|error| Failure::Usage {
        message: error.to_string(),
        hint: "copy it from https://huggingface.co/settings/tokens; it begins with hf_",
    })
}
