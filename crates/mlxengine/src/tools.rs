//! Tools that a model may call.

use std::{fmt, future::Future, sync::Arc};

use engine_core::{BoxFuture, Message, Source, ToolCall, ToolDefinition};

/// What a tool gives back: a text for the model, or an error, whose text the model is told.
pub type ToolResult = Result<String, Source>;

/// Something that a model may call.
pub trait Tool: Send + Sync {
    /// What the model is told of it.
    fn definition(&self) -> &ToolDefinition;

    /// Carries out a call, whose arguments fit the definition's schema.
    fn call(&self, call: ToolCall) -> BoxFuture<ToolResult>;
}

/// Tools by name.
#[derive(Clone, Default)]
pub struct ToolBox {
    tools: Vec<Arc<dyn Tool>>,
}

impl ToolBox {
    /// Without any tool yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more tool.
    #[must_use]
    pub fn with(mut self, tool: impl Tool + 'static) -> Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// With one more tool, which is a function.
    #[must_use]
    pub fn with_fn<F, R>(self, definition: ToolDefinition, call: F) -> Self
    where
        F: Fn(ToolCall) -> R + Send + Sync + 'static,
        R: Future<Output = ToolResult> + Send + 'static,
    {
        self.with(FunctionTool { definition, call })
    }

    /// With one more tool, which is a function of a type: its fields are the arguments.
    ///
    /// # Errors
    /// As [`ToolDefinition::of`].
    #[cfg(feature = "schemars")]
    pub fn with_typed<T, F, R>(
        self,
        name: impl Into<String>,
        description: impl Into<String>,
        call: F,
    ) -> engine_core::Result<Self>
    where
        T: schemars::JsonSchema + serde::de::DeserializeOwned,
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Future<Output = ToolResult> + Send + 'static,
    {
        let definition = ToolDefinition::of::<T>(name, description)?;
        let call = Arc::new(call);
        Ok(self.with_fn(definition, move |written: ToolCall| {
            let arguments = serde_json::Value::Object(written.arguments);
            let result = serde_json::from_value(arguments).map(|arguments| call(arguments));
            async move { result?.await }
        }))
    }

    /// What a model is told of all of them.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        self.tools
            .iter()
            .map(|tool| tool.definition().clone())
            .collect()
    }

    /// Carries out a call; the result is the message that tells the model.
    pub async fn call(&self, call: ToolCall) -> Message {
        let tool = self
            .tools
            .iter()
            .find(|tool| tool.definition().name() == call.name);
        let outcome = match tool {
            Some(tool) => tool.call(call.clone()).await,
            None => Err(format!("there is no tool named {:?}", call.name).into()),
        };
        match outcome {
            Ok(result) => Message::tool_result(&call, result),
            Err(error) => {
                tracing::debug!(tool = %call.name, %error, "a tool failed");
                Message::tool_result(&call, format!("error: {error}"))
            }
        }
    }
}

impl fmt::Debug for ToolBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.tools.iter().map(|tool| tool.definition().name());
        f.debug_list().entries(names).finish()
    }
}

struct FunctionTool<F> {
    definition: ToolDefinition,
    call: F,
}

impl<F, R> Tool for FunctionTool<F>
where
    F: Fn(ToolCall) -> R + Send + Sync,
    R: Future<Output = ToolResult> + Send + 'static,
{
    fn definition(&self) -> &ToolDefinition {
        &self.definition
    }

    fn call(&self, call: ToolCall) -> BoxFuture<ToolResult> {
        Box::pin((self.call)(call))
    }
}
