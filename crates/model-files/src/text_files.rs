//! The files that turn text into tokens and messages into a prompt.

use std::{fs, io::ErrorKind, path::Path};

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::{
    FilesError,
    json_file::{missing, read_object, read_text},
};

/// The largest vocabularies in use make `tokenizer.json` files of some 40 MB.
const MAX_TOKENIZER_BYTES: u64 = 512 << 20;
const MAX_TEMPLATE_BYTES: u64 = 16 << 20;

/// A chat template that a model names, such as `tool_use` or `rag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTemplate {
    /// What the model calls it.
    pub name: String,
    /// Its Jinja source.
    pub template: String,
}

/// The tokenizer's files, unparsed where a library parses them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TextFiles {
    /// `tokenizer.json`: known to be a JSON object, otherwise as it is in the file.
    pub tokenizer_json: String,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<Map<String, Value>>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<Map<String, Value>>,
    /// The default chat template's Jinja source.
    pub chat_template: Option<String>,
    /// Chat templates besides the default, in the order in which they were found.
    pub additional_chat_templates: Vec<NamedTemplate>,
}

impl TextFiles {
    /// Reads them from a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, FilesError> {
        let tokenizer_path = folder.join("tokenizer.json");
        let tokenizer_json = read_text(&tokenizer_path, MAX_TOKENIZER_BYTES)?
            .ok_or_else(|| missing(&tokenizer_path, ""))?;
        if !tokenizer_json.trim_start().starts_with('{') {
            return Err(FilesError::malformed(
                &tokenizer_path,
                "it is not a JSON object",
            ));
        }
        serde_json::from_str::<IgnoredAny>(&tokenizer_json).map_err(|error| {
            FilesError::malformed(&tokenizer_path, format!("it is not valid JSON: {error}"))
        })?;

        let config_path = folder.join("tokenizer_config.json");
        let tokenizer_config = read_object(&config_path)?;
        let mut text = Self {
            tokenizer_json,
            special_tokens_map: read_object(&folder.join("special_tokens_map.json"))?,
            ..Self::default()
        };
        if let Some(value) = tokenizer_config
            .as_ref()
            .and_then(|config| config.get("chat_template"))
        {
            text.add_configured_templates(value, &config_path)?;
        }
        text.tokenizer_config = tokenizer_config;
        text.add_template_files(folder)?;
        Ok(text)
    }

    /// `chat_template` of `tokenizer_config.json`: a string, or a list of names and templates.
    pub(crate) fn add_configured_templates(
        &mut self,
        value: &Value,
        path: &Path,
    ) -> Result<(), FilesError> {
        let wrong = || {
            FilesError::malformed(
                path,
                "chat_template must be a string or a list of objects with the strings name and template",
            )
        };
        match value {
            Value::Null => Ok(()),
            Value::String(template) => {
                self.chat_template = Some(template.clone());
                Ok(())
            }
            Value::Array(entries) => {
                for entry in entries {
                    let text_of = |key| entry.get(key).and_then(Value::as_str);
                    let (Some(name), Some(template)) = (text_of("name"), text_of("template"))
                    else {
                        return Err(wrong());
                    };
                    self.add_template(name, template.to_owned());
                }
                Ok(())
            }
            _ => Err(wrong()),
        }
    }

    /// Adds a template, in place of an earlier one of the same name.
    pub(crate) fn add_template(&mut self, name: &str, template: String) {
        if name == "default" {
            self.chat_template = Some(template);
            return;
        }
        let known = self
            .additional_chat_templates
            .iter_mut()
            .find(|known| known.name == name);
        if let Some(known) = known {
            known.template = template;
        } else {
            self.additional_chat_templates.push(NamedTemplate {
                name: name.to_owned(),
                template,
            });
        }
    }

    /// Template files win over what `tokenizer_config.json` says, as in transformers.
    fn add_template_files(&mut self, folder: &Path) -> Result<(), FilesError> {
        if let Some(template) = read_text(&folder.join("chat_template.jinja"), MAX_TEMPLATE_BYTES)?
        {
            self.chat_template = Some(template);
        }
        let more = folder.join("additional_chat_templates");
        let entries = match fs::read_dir(&more) {
            Ok(entries) => entries,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            Err(error) => return Err(FilesError::io("list", &more, error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|error| FilesError::io("list", &more, error))?
                .path();
            if path
                .extension()
                .is_some_and(|extension| extension == "jinja")
            {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if let Some(template) = read_text(&path, MAX_TEMPLATE_BYTES)? {
                self.add_template(name, template);
            }
        }
        Ok(())
    }
}
