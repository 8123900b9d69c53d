//! As much of a Hub client as the tests need: a repository's listing, and sources for its files.

use std::sync::Arc;

use downloader::{
    BoxError, Commit, Digest, FilePath, ListedFile, Listing, Location, Plan, PlannedFile, RefName,
    RepoFolder, Source, SourceError,
};
use futures_core::future::BoxFuture;
use reqwest::{Client, Method, header};
use serde_json::Value;

/// A Hub at a URL.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    client: Client,
    url: String,
}

impl Hub {
    pub(crate) fn new(url: &str) -> Result<Self, BoxError> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            url: url.to_owned(),
        })
    }

    /// A plan of all files of a repository's branch `main`.
    pub(crate) async fn plan(&self, id: &str) -> Result<Plan, BoxError> {
        let info = self.json(&format!("/api/models/{id}")).await?;
        let commit = Commit::new(info["sha"].as_str().unwrap_or_default())?;
        let tree = format!("/api/models/{id}/tree/{commit}?recursive=true");
        let mut files = Vec::new();
        let mut listing = Listing::default();
        for entry in self
            .json(&tree)
            .await?
            .as_array()
            .cloned()
            .unwrap_or_default()
        {
            let path = FilePath::new(entry["path"].as_str().unwrap_or_default())?;
            let hash = entry["lfs"]["oid"].as_str().or(entry["oid"].as_str());
            let mut file = PlannedFile::new(path.clone(), self.source(id, &commit, &path));
            if let Some(size) = entry["size"].as_u64() {
                file = file.with_size(size);
            }
            if let Some(digest) = hash.and_then(Digest::from_hex) {
                file = file.with_digest(digest);
            }
            if let Some(listed) = listed(&entry) {
                listing.insert(path, listed);
            }
            files.push(file);
        }
        let plan = Plan::new(RepoFolder::of_model(id)?, commit, files)?;
        Ok(plan.with_ref(RefName::new("main")?).with_listing(listing))
    }

    /// Where a file is, asked by `HEAD` each time.
    pub(crate) fn source(&self, id: &str, commit: &Commit, path: &FilePath) -> Arc<dyn Source> {
        Arc::new(Resolve {
            client: self.client.clone(),
            url: format!("{}/{id}/resolve/{commit}/{path}", self.url),
        })
    }

    async fn json(&self, path: &str) -> Result<Value, BoxError> {
        let response = self
            .client
            .get(format!("{}{path}", self.url))
            .send()
            .await?;
        let bytes = response.error_for_status()?.bytes().await?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

fn listed(entry: &Value) -> Option<ListedFile> {
    let Some(Digest::GitSha1(git)) = Digest::from_hex(entry["oid"].as_str()?) else {
        return None;
    };
    let file = ListedFile::new(entry["size"].as_u64()?, git);
    match entry["lfs"]["oid"].as_str().and_then(Digest::from_hex) {
        Some(Digest::Sha256(sha256)) => Some(file.in_large_file_storage(sha256)),
        _ => Some(file),
    }
}

#[derive(Debug)]
struct Resolve {
    client: Client,
    url: String,
}

impl Source for Resolve {
    fn locate(&self) -> BoxFuture<'_, Result<Location, SourceError>> {
        Box::pin(async {
            let request = self.client.request(Method::HEAD, &self.url);
            let answer = request
                .header(header::ACCEPT_ENCODING, "identity")
                .send()
                .await
                .map_err(|e| SourceError::retry(e, None))?;
            let status = answer.status().as_u16();
            if !matches!(status, 200 | 302) {
                let message = format!("the hub answered {status}");
                return Err(match status {
                    408 | 429 | 500.. => SourceError::retry(message, None),
                    _ => SourceError::fatal(message),
                });
            }
            let text = |name: &str| answer.headers().get(name)?.to_str().ok();
            let place = text("location").filter(|_| status == 302);
            let mut location = Location::new(place.unwrap_or(&self.url))?;
            if let Some(etag) = text("x-linked-etag").or(text("etag")) {
                location = location.etag(etag);
            }
            let size = match place {
                Some(_) => text("x-linked-size"),
                None => text("content-length"),
            };
            if let Some(size) = size.and_then(|size| size.parse().ok()) {
                location = location.size(size);
            }
            Ok(location)
        })
    }
}
