//! A model's card: YAML front matter, then text.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{HubClient, HubError, RepoId, RepoPath, Revision};

/// The longest card that is read.
const MOST_BYTES: usize = 8 << 20;

/// A model's `README.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelCard {
    /// The front matter; empty if there is none.
    pub data: CardData,
    /// Why there is front matter that can't be read, which leaves `data` empty.
    pub problem: Option<String>,
    /// The text after the front matter, in Markdown.
    pub text: String,
}

/// The front matter of a card, or what the Hub made of it.
///
/// Authors write it by hand, so a field of another type than usual counts as absent, and where
/// one value or a list of them may stand, both are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value")]
#[non_exhaustive]
pub struct CardData {
    /// The licence's identifier: `apache-2.0`, `other`.
    pub license: Option<String>,
    /// The licence's name, where the identifier is `other`.
    pub license_name: Option<String>,
    /// Where the licence can be read.
    pub license_link: Option<String>,
    /// What it is made for: `mlx`.
    pub library_name: Option<String>,
    /// What it is for: `text-generation`.
    pub pipeline_tag: Option<String>,
    /// Languages.
    pub language: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Models that it was made from.
    pub base_model: Vec<String>,
    /// How it was made from them: `quantized`, `finetune`.
    pub base_model_relation: Option<String>,
    /// What it was trained on.
    pub datasets: Vec<String>,
    /// Everything else.
    pub other: Map<String, Value>,
}

impl From<Value> for CardData {
    fn from(value: Value) -> Self {
        let Value::Object(mut fields) = value else {
            return Self::default();
        };
        Self {
            license: text(&mut fields, "license"),
            license_name: text(&mut fields, "license_name"),
            license_link: text(&mut fields, "license_link"),
            library_name: text(&mut fields, "library_name"),
            pipeline_tag: text(&mut fields, "pipeline_tag"),
            language: texts(&mut fields, "language"),
            tags: texts(&mut fields, "tags"),
            base_model: texts(&mut fields, "base_model"),
            base_model_relation: text(&mut fields, "base_model_relation"),
            datasets: texts(&mut fields, "datasets"),
            other: fields,
        }
    }
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    texts(fields, name).into_iter().next()
}

/// One text or several; other values of the field are left out.
fn texts(fields: &mut Map<String, Value>, name: &str) -> Vec<String> {
    let texts = |value: Value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    match fields.remove(name) {
        Some(Value::Array(values)) => values.into_iter().filter_map(texts).collect(),
        Some(value) => texts(value).into_iter().collect(),
        None => Vec::new(),
    }
}

impl ModelCard {
    /// Takes a card apart. Every text is a card; see [`ModelCard::problem`].
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let Some((yaml, body)) = front_matter(text) else {
            return Self {
                text: text.to_owned(),
                ..Self::default()
            };
        };
        // Norwegian is written `no`, which older YAML took for false.
        let options = serde_saphyr::options! { strict_booleans: true };
        let parsed = serde_saphyr::from_str_with_options::<Value>(yaml, options);
        let (data, problem) = match parsed {
            Ok(data @ (Value::Object(_) | Value::Null)) => (CardData::from(data), None),
            Ok(_) => (
                CardData::default(),
                Some("it is no list of fields".to_owned()),
            ),
            Err(error) => (CardData::default(), Some(error.to_string())),
        };
        Self {
            data,
            problem,
            text: body.to_owned(),
        }
    }
}

/// What stands between a first line `---` and the next one, and what follows that.
fn front_matter(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim_start().strip_prefix("---")?;
    let (first, yaml) = rest.split_once('\n')?;
    if !first.trim().is_empty() {
        return None;
    }
    let mut at = 0;
    for line in yaml.split_inclusive('\n') {
        let end = at + line.len();
        if line.trim_end() == "---" {
            return Some((yaml.get(..at)?, yaml.get(end..)?));
        }
        at = end;
    }
    None
}

impl HubClient {
    /// A model's card at a revision; `None` if it has none.
    ///
    /// # Errors
    /// As [`HubClient::read_file`]; [`HubError::Decode`] if the card is longer than 8 MiB.
    pub async fn model_card(
        &self,
        repo: &RepoId,
        revision: &Revision,
    ) -> Result<Option<ModelCard>, HubError> {
        let path = RepoPath::parse("README.md")?;
        match self.read_file(repo, revision, &path, MOST_BYTES).await {
            Ok(bytes) => Ok(Some(ModelCard::parse(&String::from_utf8_lossy(&bytes)))),
            Err(HubError::FileNotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
