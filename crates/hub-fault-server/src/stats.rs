//! What the server has been asked for and has sent.

use std::collections::BTreeMap;

use crate::Fault;

/// Counts since the server started, or since they were last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// For each path of a file.
    pub files: BTreeMap<String, FileStats>,
    /// Requests to `/api/`.
    pub api_requests: u64,
    /// Connections to either host.
    pub connections: u64,
    /// Requests to the second host that carried a token.
    pub leaked_tokens: u64,
    /// The faults that have struck, with the file or the URL's path, in order.
    pub faults: Vec<(String, Fault)>,
}

/// Counts for one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileStats {
    /// Questions where the file is.
    pub heads: u64,
    /// Requests for its bytes.
    pub gets: u64,
    /// Bytes of its content that were handed to the network.
    pub bytes: u64,
}

impl Stats {
    /// Bytes of content, over all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// Requests for bytes, over all files.
    pub fn gets(&self) -> u64 {
        self.files.values().map(|file| file.gets).sum()
    }

    /// Questions where files are, over all files.
    pub fn heads(&self) -> u64 {
        self.files.values().map(|file| file.heads).sum()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let files: serde_json::Map<_, _> = self
            .files
            .iter()
            .map(|(path, file)| {
                let counts = serde_json::json!({
                    "heads": file.heads, "gets": file.gets, "bytes": file.bytes,
                });
                (path.clone(), counts)
            })
            .collect();
        serde_json::json!({
            "files": files,
            "api_requests": self.api_requests,
            "connections": self.connections,
            "leaked_tokens": self.leaked_tokens,
            "faults": self.faults.len(),
            "bytes": self.bytes(),
            "gets": self.gets(),
            "heads": self.heads(),
        })
    }
}
