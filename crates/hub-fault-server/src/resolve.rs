//! `/org/name/resolve/revision/path` at the Hub, and the signed URLs of the second host.

use crate::{
    Entry, Fault, Repo, Stage,
    body::FileHead,
    message::{Answer, Head, Request, decode, encode},
    server::{Changing, State},
};

/// What a request leads to.
pub(crate) enum Found {
    /// A small answer, and the fault that strikes it.
    Answer(Answer, Option<Fault>),
    /// A file's bytes.
    Body(Entry, FileHead),
}

pub(crate) fn at_hub(state: &State, request: &Request) -> Found {
    match find(state, request) {
        Ok((repo, entry)) => found(state, request, &repo, entry),
        Err(answer) => Found::Answer(answer, None),
    }
}

fn find(state: &State, request: &Request) -> Result<(Repo, Entry), Answer> {
    let not_found = || Answer::error(404, "EntryNotFound", "Entry not found");
    // Split before decoding: a revision may have an encoded slash.
    let segments: Vec<String> = request.raw_path.split('/').skip(1).map(decode).collect();
    let [org, name, "resolve", revision, path @ ..] =
        &segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    else {
        return Err(not_found());
    };
    let (id, path) = (format!("{org}/{name}"), path.join("/"));
    let changing = state.lock();
    let repo = find_repo(&changing, &id, state, request, |new| {
        let path = &request.raw_path;
        path.replacen(&id, new, 1)
    })?;
    if !repo.has_revision(revision) {
        let message = format!("Invalid rev id: {revision}");
        return Err(Answer::error(404, "RevisionNotFound", &message));
    }
    let entry = repo.find(&path).cloned().ok_or_else(not_found)?;
    Ok((repo, entry))
}

/// The repository of this id, if the request may see it; `moved` writes the URL at another id.
pub(crate) fn find_repo(
    changing: &Changing,
    id: &str,
    state: &State,
    request: &Request,
    moved: impl Fn(&str) -> String,
) -> Result<Repo, Answer> {
    let token = request.token();
    let known = token.is_some_and(|t| state.settings.tokens.iter().any(|known| known == t));
    if token.is_some() && !known {
        let message = "Invalid credentials in Authorization header";
        return Err(Answer::error(401, "", message));
    }
    if let Some(renamed) = changing
        .repos
        .iter()
        .find(|repo| repo.old_ids.iter().any(|old| old == id))
    {
        let head = Head::new(307).header("Location", moved(&renamed.id));
        return Err(Answer::empty(head));
    }
    let repo = changing.repos.iter().find(|repo| repo.id == id);
    let Some(repo) = repo else {
        return Err(Answer::error(401, "RepoNotFound", "Repository not found"));
    };
    if repo.gated && !known {
        let message = format!("Access to model {id} is restricted.");
        return Err(Answer::error(401, "GatedRepo", &message));
    }
    Ok(repo.clone())
}

fn found(state: &State, request: &Request, repo: &Repo, entry: Entry) -> Found {
    if !entry.lfs && request.method != "HEAD" {
        let headers = vec![("X-Repo-Commit".to_owned(), repo.commit.clone())];
        return Found::Body(entry, FileHead { headers });
    }
    state.count(&entry.path, |file| file.heads += 1);
    let fault = state.fault(Stage::Head, &entry.path, 0);
    let etag = match &fault {
        Some(Fault::OtherEtag { etag }) => etag.clone(),
        _ => entry.etag(),
    };
    let mut head = Head::new(if entry.lfs { 302 } else { 200 })
        .header("X-Repo-Commit", repo.commit.as_str())
        .header("ETag", format!("\"{etag}\""));
    if entry.lfs {
        let mut changing = state.lock();
        changing.next_signature += 1;
        let signature = changing.next_signature;
        let location = format!(
            "{}/cdn/{}/{}?Expires=4102444800&Signature={signature}&Key-Pair-Id=K1",
            state.cdn,
            repo.id,
            encode(&entry.path)
        );
        head = head
            .header("X-Linked-Etag", format!("\"{etag}\""))
            .header("Location", location);
        if repo.xet {
            let hash = entry.xet_hash();
            let link = format!(
                "<{0}/api/models/{1}/xet-read-token/{2}>; rel=\"xet-auth\", \
                 <{3}/v1/reconstructions/{hash}>; rel=\"xet-reconstruction-info\"",
                state.hub, repo.id, repo.commit, state.cdn
            );
            head = head.header("X-Xet-Hash", hash).header("Link", link);
        }
        if entry.sized {
            head = head.header("X-Linked-Size", entry.content.length().to_string());
        }
        return Found::Answer(Answer::empty(head), fault);
    }
    if !entry.sized {
        head = head.header("Transfer-Encoding", "chunked");
        // An answer to HEAD has no body, whatever its headers say of one.
        return Found::Answer(Answer::empty(head), fault);
    }
    let mut answer = Answer::empty(head);
    answer.body = vec![0; entry.content.length() as usize];
    Found::Answer(answer, fault)
}

pub(crate) fn at_cdn(state: &State, request: &Request) -> Found {
    let refused = |status| Found::Answer(Answer::error(status, "", "not here"), None);
    let signature = request.parameter("Signature").and_then(|s| s.parse().ok());
    let Some(signature): Option<u64> = signature else {
        return refused(403);
    };
    let Some((org, name, path)) = request
        .path
        .strip_prefix("/cdn/")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(org, rest)| rest.split_once('/').map(|(name, path)| (org, name, path)))
    else {
        return refused(404);
    };
    let mut changing = state.lock();
    let known = signature <= changing.next_signature;
    let uses = changing.signatures.entry(signature).or_default();
    *uses += 1;
    let worn = state
        .settings
        .signature_uses
        .is_some_and(|most| *uses > most);
    if !known || worn {
        return refused(403);
    }
    let id = format!("{org}/{name}");
    let repo = changing.repos.iter().find(|repo| repo.id == id);
    match repo.and_then(|repo| repo.find(path)) {
        Some(entry) => Found::Body(entry.clone(), FileHead::default()),
        None => refused(404),
    }
}
