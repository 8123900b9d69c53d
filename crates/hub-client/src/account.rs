//! Who asks, and what they may see.

use serde::{Deserialize, Serialize};

use crate::{
    HubClient, HubError, RepoId,
    http::{Call, Subject},
};

/// The account that a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[non_exhaustive]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its name in full.
    #[serde(default)]
    pub fullname: Option<String>,
    /// `user` or `org`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Whether it is a paid one.
    #[serde(default)]
    pub is_pro: bool,
    /// Organisations that it belongs to.
    #[serde(default, rename(deserialize = "orgs"))]
    pub organisations: Vec<Organisation>,
    /// What kind of token was used.
    #[serde(default)]
    pub auth: Option<Authentication>,
}

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Organisation {
    /// Its name.
    pub name: String,
}

/// How an account proved itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[non_exhaustive]
pub struct Authentication {
    /// The token, without its secret.
    #[serde(default)]
    pub access_token: Option<AccessToken>,
}

/// What the Hub says about a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[non_exhaustive]
pub struct AccessToken {
    /// The name that its owner gave it.
    #[serde(default)]
    pub display_name: Option<String>,
    /// `read`, `write` or `fineGrained`.
    #[serde(default)]
    pub role: Option<String>,
}

impl HubClient {
    /// The account that the token belongs to.
    ///
    /// The Hub answers this only a few times a minute; keep the answer.
    ///
    /// # Errors
    /// [`HubError::AuthenticationRequired`] without a token, which asks nobody;
    /// [`HubError::InvalidToken`] if the Hub does not know it.
    pub async fn whoami(&self) -> Result<Account, HubError> {
        let subject = Subject::new("ask whose access token this is");
        self.ensure_online(&subject)?;
        if !self.has_token() {
            return Err(HubError::AuthenticationRequired {
                operation: subject.operation,
            });
        }
        let url = self.endpoint().api("whoami-v2")?;
        self.json(&Call::get(url, subject)).await
    }

    /// Whether this client may read the repository's files: success if it may.
    ///
    /// # Errors
    /// [`HubError::Gated`], [`HubError::RepositoryNotFound`] (which a private one looks like),
    /// [`HubError::Disabled`], [`HubError::InvalidToken`].
    pub async fn check_access(&self, repo: &RepoId) -> Result<(), HubError> {
        let url = self.endpoint().model(repo, "/auth-check")?;
        let subject = Subject::new(format!("check the access to {repo}")).of_repo(repo);
        self.ask(&Call::get(url, subject), |_| async { Ok(()) })
            .await
    }
}
