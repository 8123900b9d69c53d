//! A call of a tool.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

/// A call of a tool, as a model made it or as a chat remembers it.
///
/// In JSON it looks as in `OpenAI`'s API for chats, with the arguments as a text of JSON; an object
/// is read too:
///
/// ```
/// use engine_core::ToolCall;
///
/// let call: ToolCall = serde_json::from_str(
///     r#"{"id":"call00000","type":"function","function":{"name":"add","arguments":"{\"a\":1}"}}"#,
/// )?;
/// assert_eq!(call.name, "add");
/// assert_eq!(call.arguments["a"], 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// Names the call in the chat, so that its result can refer to it.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments by name, in the order in which the model wrote them.
    pub arguments: Map<String, Value>,
}

impl ToolCall {
    /// A call.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: Map<String, Value>,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments,
        }
    }
}

/// The form of a call in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallForm {
    #[serde(default)]
    id: String,
    #[serde(rename = "type", default)]
    kind: Kind,
    function: FunctionForm,
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
struct FunctionForm {
    name: String,
    arguments: Value,
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let arguments =
            serde_json::to_string(&self.arguments).map_err(serde::ser::Error::custom)?;
        CallForm {
            id: self.id.clone(),
            kind: Kind::Function,
            function: FunctionForm {
                name: self.name.clone(),
                arguments: Value::String(arguments),
            },
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for ToolCall {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let CallForm { id, function, .. } = CallForm::deserialize(from)?;
        let arguments = match function.arguments {
            Value::Object(arguments) => arguments,
            Value::String(json) => serde_json::from_str(&json).map_err(|error| {
                D::Error::custom(format!(
                    "the arguments of the call of {:?} are no JSON object: {error}",
                    function.name
                ))
            })?,
            _ => {
                return Err(D::Error::custom(format!(
                    "the arguments of the call of {:?} must be a JSON object, or a text with one",
                    function.name
                )));
            }
        };
        Ok(Self {
            id,
            name: function.name,
            arguments,
        })
    }
}
