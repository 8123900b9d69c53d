//! What a tool is called, what it is for, and what it takes.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use crate::{Error, Field, Result};

/// The longest name that a tool may have, as in `OpenAI`'s API.
const LONGEST_NAME: usize = 64;

/// A tool that a model may call.
///
/// In JSON it looks as in `OpenAI`'s API for chats, and templates are given this form:
///
/// ```
/// use engine_core::ToolDefinition;
///
/// let tool: ToolDefinition = serde_json::from_str(
///     r#"{"type": "function", "function": {
///         "name": "weather",
///         "description": "The weather of a city.",
///         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}
///     }}"#,
/// )?;
/// assert_eq!(tool.name(), "weather");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolDefinition {
    name: String,
    description: String,
    parameters: Map<String, Value>,
}

impl ToolDefinition {
    /// A tool. `parameters` is a JSON Schema of an object, whose properties are the arguments.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a name that is not 1 to 64 ASCII letters, digits, `_`, `-`
    /// and `.`, and for a schema of anything but an object.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
    ) -> Result<Self> {
        let name = name.into();
        if !is_name(&name) {
            return Err(invalid(
                format!("a tool named {name:?}"),
                "tools with names of 1 to 64 ASCII letters, digits, '_', '-' and '.'",
            ));
        }
        match parameters {
            Value::Object(parameters) if describes_an_object(&parameters) => Ok(Self {
                name,
                description: description.into(),
                parameters,
            }),
            _ => Err(invalid(
                format!("parameters of {name:?} that are no JSON Schema of an object"),
                "tools whose parameters are a JSON Schema with \"type\": \"object\"",
            )),
        }
    }

    /// A tool that takes nothing.
    ///
    /// # Errors
    /// As [`ToolDefinition::new`].
    pub fn without_parameters(
        name: impl Into<String>,
        description: impl Into<String>,
    ) -> Result<Self> {
        let parameters = serde_json::json!({ "type": "object", "properties": {} });
        Self::new(name, description, parameters)
    }

    /// A tool whose arguments are the fields of a type.
    ///
    /// The schema is that of `schemars`, with its parts written out in place, without `$schema`
    /// and without the type's own name, which say nothing to a model.
    ///
    /// # Errors
    /// As [`ToolDefinition::new`]: `T` must be a struct with named fields.
    #[cfg(feature = "schemars")]
    pub fn of<T: schemars::JsonSchema>(
        name: impl Into<String>,
        description: impl Into<String>,
    ) -> Result<Self> {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
            settings.meta_schema = None;
            settings.inline_subschemas = true;
        });
        let mut schema = settings.into_generator().into_root_schema_for::<T>();
        schema.remove("title");
        Self::new(name, description, schema.to_value())
    }

    /// The name by which a model calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in words for a model; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The JSON Schema of its arguments.
    pub fn parameters(&self) -> &Map<String, Value> {
        &self.parameters
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

fn describes_an_object(schema: &Map<String, Value>) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

fn invalid(value: String, expected: &'static str) -> Error {
    Error::InvalidParameter {
        field: Field::Tools,
        value,
        expected: Cow::Borrowed(expected),
    }
}

/// The form of a definition in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefinitionForm<'a> {
    #[serde(rename = "type", default)]
    kind: Kind,
    function: FunctionForm<'a>,
}

/// There is no other kind so far.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Function,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionForm<'a> {
    name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    description: Cow<'a, str>,
    #[serde(default = "no_parameters")]
    parameters: Cow<'a, Map<String, Value>>,
}

fn no_parameters() -> Cow<'static, Map<String, Value>> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), Map::new().into());
    Cow::Owned(schema)
}

impl Serialize for ToolDefinition {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        DefinitionForm {
            kind: Kind::Function,
            function: FunctionForm {
                name: Cow::Borrowed(&self.name),
                description: Cow::Borrowed(&self.description),
                parameters: Cow::Borrowed(&self.parameters),
            },
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for ToolDefinition {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let FunctionForm {
            name,
            description,
            parameters,
        } = DefinitionForm::deserialize(from)?.function;
        Self::new(name, description, Value::Object(parameters.into_owned()))
            .map_err(D::Error::custom)
    }
}
