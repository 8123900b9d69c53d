//! The JSON interface: models, listings, the user.

use serde_json::{Value, json};

use crate::{
    Repo,
    message::{Answer, Request, decode},
    repo::Entry,
    resolve::find_repo,
    server::State,
};

const MASK: &str = "****************************************************************";

pub(crate) fn answer(state: &State, request: &Request) -> Answer {
    if request.path == "/__stats" {
        return Answer::json(200, &state.lock().stats.json());
    }
    state.lock().stats.api_requests += 1;
    let segments: Vec<String> = request.raw_path.split('/').skip(2).map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["whoami-v2"] => who_am_i(state, request),
        ["models"] => search(state, request),
        ["models", org, name] => with_repo(state, request, org, name, None, info),
        ["models", org, name, "auth-check"] => {
            with_repo(state, request, org, name, None, |_, _, _| {
                Answer::json(200, &json!({}))
            })
        }
        ["models", org, name, "revision", revision] => {
            with_repo(state, request, org, name, Some(revision), info)
        }
        ["models", org, name, "tree", revision, folder @ ..] => {
            let folder = folder.join("/");
            with_repo(
                state,
                request,
                org,
                name,
                Some(revision),
                |state, request, repo| tree(state, request, repo, &folder),
            )
        }
        _ => Answer::error(404, "", "Not found"),
    }
}

fn with_repo(
    state: &State,
    request: &Request,
    org: &str,
    name: &str,
    revision: Option<&str>,
    answer: impl FnOnce(&State, &Request, &Repo) -> Answer,
) -> Answer {
    let id = format!("{org}/{name}");
    let found = find_repo(&state.lock(), &id, state, request, |new| {
        request.raw_path.replacen(&id, new, 1)
    });
    match found {
        Err(error) => error,
        Ok(repo) => match revision {
            Some(revision) if !repo.has_revision(revision) => {
                let message = format!("Invalid rev id: {revision}");
                Answer::error(404, "RevisionNotFound", &message)
            }
            _ => answer(state, request, &repo),
        },
    }
}

fn who_am_i(state: &State, request: &Request) -> Answer {
    let known = request
        .token()
        .is_some_and(|t| state.settings.tokens.iter().any(|known| known == t));
    if !known {
        let message = "Invalid credentials in Authorization header";
        return Answer::error(401, "", message);
    }
    Answer::json(
        200,
        &json!({
            "type": "user", "id": "1", "name": "tester", "fullname": "Test User",
            "orgs": [], "auth": {"type": "access_token", "accessToken": {"role": "read"}},
        }),
    )
}

fn search(state: &State, request: &Request) -> Answer {
    let matches = |name: &str, test: &dyn Fn(&str) -> bool| {
        let wanted = request.query.get(name);
        wanted.is_none_or(|values| values.iter().all(|value| test(value)))
    };
    let changing = state.lock();
    let found: Vec<&Repo> = changing
        .repos
        .iter()
        .filter(|repo| {
            let id = repo.id.to_lowercase();
            matches("search", &|text| id.contains(&text.to_lowercase()))
                && matches("author", &|author| {
                    id.starts_with(&format!("{}/", author.to_lowercase()))
                })
                && matches("filter", &|tag| repo.tags.iter().any(|t| t == tag))
        })
        .collect();
    let number = |name| {
        request
            .parameter(name)
            .and_then(|n| n.parse::<usize>().ok())
    };
    let (from, limit) = (
        number("cursor").unwrap_or(0),
        number("limit").unwrap_or(1000),
    );
    let page: Vec<Value> = found
        .iter()
        .skip(from)
        .take(limit)
        .map(|repo| summary(repo))
        .collect();
    let mut answer = Answer::json(200, &json!(page));
    if from + limit < found.len() {
        let mut next = format!(
            "{}/api/models?cursor={}&limit={limit}",
            state.hub,
            from + limit
        );
        for (name, values) in &request.query {
            if !["cursor", "limit"].contains(&name.as_str()) {
                for value in values {
                    next.extend(["&", name, "=", &crate::message::encode(value)]);
                }
            }
        }
        answer.head = answer
            .head
            .header("Link", format!("<{next}>; rel=\"next\""));
    }
    answer
}

fn summary(repo: &Repo) -> Value {
    let gated = if repo.gated {
        json!("auto")
    } else {
        json!(false)
    };
    json!({
        "_id": "0", "id": repo.id, "modelId": repo.id, "sha": repo.commit, "private": false,
        "disabled": false, "gated": gated, "downloads": 42, "likes": 7, "tags": repo.tags,
        "pipeline_tag": "text-generation", "library_name": "mlx",
        "createdAt": "2025-01-01T00:00:00.000Z", "lastModified": "2025-06-01T00:00:00.000Z",
        "author": repo.id.split('/').next(),
    })
}

fn info(_: &State, request: &Request, repo: &Repo) -> Answer {
    let with_blobs = request
        .parameter("blobs")
        .is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let siblings: Vec<Value> = repo
        .entries
        .iter()
        .map(|entry| {
            let mut sibling = json!({ "rfilename": entry.path });
            if with_blobs {
                sibling["blobId"] = json!(entry.content.git_sha1());
                if entry.sized {
                    sibling["size"] = json!(entry.content.length());
                }
                if entry.lfs {
                    sibling["lfs"] = json!({
                        "sha256": hash(repo, entry), "size": entry.content.length(),
                        "pointerSize": 135,
                    });
                }
            }
            sibling
        })
        .collect();
    let mut info = summary(repo);
    info["siblings"] = json!(siblings);
    Answer::json(200, &info)
}

fn hash(repo: &Repo, entry: &Entry) -> String {
    if repo.masked {
        MASK.to_owned()
    } else {
        entry.content.sha256()
    }
}

/// Folders are left out where the listing is recursive, which is how clients ask.
fn tree(state: &State, request: &Request, repo: &Repo, folder: &str) -> Answer {
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let files: Vec<&Entry> = repo
        .entries
        .iter()
        .filter(|entry| entry.path.starts_with(&prefix))
        .collect();
    let from: usize = request
        .parameter("cursor")
        .and_then(|c| c.parse().ok())
        .unwrap_or(0);
    let page: Vec<Value> = files
        .iter()
        .skip(from)
        .take(repo.page_size)
        .map(|entry| {
            let mut file = json!({
                "type": "file", "path": entry.path, "size": entry.content.length(),
                "oid": entry.content.git_sha1(),
            });
            if entry.lfs {
                file["lfs"] = json!({
                    "oid": hash(repo, entry), "size": entry.content.length(), "pointerSize": 135,
                });
                if repo.xet {
                    file["xetHash"] = json!(entry.xet_hash());
                }
            }
            file
        })
        .collect();
    let mut answer = Answer::json(200, &json!(page));
    let next = from + repo.page_size;
    if next < files.len() {
        let target = repo.next_link.clone().unwrap_or_else(|| {
            format!(
                "{}{}?recursive=true&cursor={next}",
                state.hub, request.raw_path
            )
        });
        answer.head = answer
            .head
            .header("Link", format!("<{target}>; rel=\"next\""));
    }
    answer
}
