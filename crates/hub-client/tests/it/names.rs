//! What is a name, and what never becomes one.

use hub_client::{BlobId, CommitHash, Endpoint, HubError, RepoId, RepoPath, Revision, Token};
use proptest::prelude::*;
use std::path::{Component, Path};

use super::server::{COMMIT, GIT_SHA1, SHA256};

#[test]
fn repositories_are_named_as_the_hub_names_them() {
    let longest = format!("{0}/{0}", "a".repeat(96));
    for good in [
        "gpt2",
        "org/name",
        "Org_1/na-me.v2",
        "_a/b_",
        longest.as_str(),
    ] {
        assert_eq!(RepoId::parse(good).unwrap().as_str(), good);
    }
    let id: RepoId = "org/name".parse().unwrap();
    assert_eq!((id.owner(), id.name()), (Some("org"), "name"));
    assert_eq!(RepoId::parse("gpt2").unwrap().owner(), None);
}

#[test]
fn other_names_of_repositories_are_refused() {
    let too_long = "a".repeat(100);
    for bad in [
        "",
        "/",
        "org/",
        "/name",
        "datasets/foo/bar",
        ".repo_id",
        "repo_id.",
        "-name",
        "org/name-",
        "foo--bar",
        "foo..bar",
        "foo.git",
        "café",
        "a b",
        "org\\name",
        "org/../name",
        "name\n",
        too_long.as_str(),
    ] {
        assert!(RepoId::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn files_that_could_leave_their_folder_are_refused() {
    for bad in [
        "",
        "/",
        "a//b",
        "a/",
        ".",
        "..",
        "a/./b",
        "../../../etc/passwd",
        "folder/../../../etc/passwd",
        "..\\..\\Windows\\evil",
        "/etc/passwd",
        "C:\\Windows\\evil",
        "C:/Windows/evil",
        "c:evil",
        "D:relative\\evil",
        "\\\\attacker\\share\\evil",
        "\\evil",
        "folder/C:\\evil",
        "folder/C:/evil",
        "folder/\\\\attacker\\evil",
        "folder/\\evil",
        "nul\0byte",
        "new\nline",
    ] {
        assert!(RepoPath::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn usual_and_odd_files_are_accepted() {
    for good in [
        "config.json",
        ".gitattributes",
        "onnx/model.onnx",
        "...",
        "a..b",
        "..a/b..",
        "with space.txt",
        "weights [1].bin",
        "größe/模型.safetensors",
        "what?#%.txt",
    ] {
        assert_eq!(RepoPath::parse(good).unwrap().as_str(), good);
    }
    assert_eq!(RepoPath::parse("a/b/c.txt").unwrap().file_name(), "c.txt");
}

#[test]
fn revisions_follow_gits_rules() {
    for good in ["main", "v1.0", "refs/pr/1", "feature/x-y_z", COMMIT, "ä"] {
        assert_eq!(Revision::parse(good).unwrap().as_str(), good);
    }
    for bad in [
        "", "/", "a/", "/a", "a//b", "..", "a..b", "a b", ".a", "a/.b", "a.", "a.lock", "x@{1}",
        "@", "a\\b", "a:b", "a?b", "a*", "[a", "a~1", "a^", "a\0", "a\tb",
    ] {
        assert!(Revision::parse(bad).is_err(), "{bad:?}");
    }
    assert!(Revision::parse(COMMIT).unwrap().as_commit().is_some());
    assert!(Revision::main().as_commit().is_none());
}

#[test]
fn commits_are_forty_lower_case_digits() {
    assert!(CommitHash::parse(COMMIT).is_ok());
    for bad in ["", "main", &COMMIT[1..], &COMMIT.to_uppercase(), SHA256] {
        assert!(CommitHash::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_etag_is_a_hash_by_its_form_and_opaque_otherwise() {
    let name =
        |header: &str| BlobId::from_etag(header).and_then(|id| id.file_name().map(str::to_owned));
    for header in [
        format!("\"{SHA256}\""),
        format!("W/\"{SHA256}\""),
        SHA256.to_owned(),
    ] {
        assert_eq!(name(&header).as_deref(), Some(SHA256), "{header}");
    }
    assert_eq!(name(&format!("\"{GIT_SHA1}\"")).as_deref(), Some(GIT_SHA1));
    let masked = "*".repeat(64);
    for opaque in [
        "\"../../../../PWN\"",
        "\"/etc/passwd\"",
        "\"5f3-62a1b\"",
        &masked,
        &SHA256.to_uppercase(),
        &SHA256[1..],
    ] {
        let id = BlobId::from_etag(opaque).unwrap();
        assert!(matches!(id, BlobId::Opaque(_)), "{opaque}");
        assert_eq!(id.file_name(), None, "{opaque}");
    }
    assert_eq!(BlobId::from_etag("W/\"\""), None);
    // Only the prefix is taken off, not every W and slash.
    let id = BlobId::from_etag("W/\"W/x\"").unwrap();
    assert_eq!(id, BlobId::Opaque("W/x".to_owned()));
}

#[test]
fn a_name_in_json_is_checked_too() {
    assert!(serde_json::from_str::<RepoPath>(r#""a/b""#).is_ok());
    assert!(serde_json::from_str::<RepoPath>(r#""../b""#).is_err());
    let id: BlobId = serde_json::from_str(&format!("{SHA256:?}")).unwrap();
    assert_eq!(serde_json::to_string(&id).unwrap(), format!("{SHA256:?}"));
}

#[test]
fn a_message_names_the_kind_and_shortens_the_text() {
    let error = RepoPath::parse("/".repeat(500)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("is not a valid file name: "), "{text}");
    assert!(text.len() < 300, "{text}");
}

#[test]
fn tokens_are_trimmed_and_checked_and_never_quoted() {
    assert_eq!(Token::new(" hf_x\r\n").unwrap().expose(), "hf_x");
    for bad in ["", " \n", "hf x", "hf_\u{7f}", "hf_ü", "a\nb"] {
        let error = Token::new(bad).unwrap_err().to_string();
        assert!(error.starts_with("\"(hidden)\" is not"), "{error}");
    }
}

#[test]
fn an_endpoint_is_an_address_without_secrets() {
    let endpoint = Endpoint::parse(" https://hub.example/mirror/ ").unwrap();
    assert_eq!(endpoint.as_str(), "https://hub.example/mirror");
    for bad in [
        "",
        "hub.example",
        "ftp://hub.example",
        "file:///etc/passwd",
        "https://user:secret@hub.example",
        "https://hub.example/?token=secret",
        "https://hub.example/#secret",
        "https://user:secret@",
    ] {
        let error = Endpoint::parse(bad).unwrap_err();
        assert!(matches!(error, HubError::InvalidUrl { .. }), "{bad}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn a_token_is_for_the_endpoints_origin_and_the_hubs_hosts() {
    let may = |endpoint: &str, url: &str| {
        let url = url::Url::parse(url).unwrap();
        Endpoint::parse(endpoint).unwrap().may_receive_token(&url)
    };
    for (endpoint, url) in [
        ("https://h", "https://h:443/a"),
        ("http://localhost:15564", "http://localhost:15564/a"),
        ("https://mirror.example", "https://huggingface.co/a"),
        ("https://mirror.example", "https://hf.co/a"),
    ] {
        assert!(may(endpoint, url), "{endpoint} {url}");
    }
    for (endpoint, url) in [
        ("https://h", "https://h:8443/a"),
        ("https://h", "http://h/a"),
        ("https://h", "https://sub.h/a"),
        ("http://localhost:15564", "http://localhost:14886/a"),
        ("https://mirror.example", "http://huggingface.co/a"),
        ("https://mirror.example", "https://huggingface.co:8443/a"),
        ("https://mirror.example", "https://cdn-lfs.hf.co/a"),
        ("https://mirror.example", "https://huggingface.co.evil/a"),
    ] {
        assert!(!may(endpoint, url), "{endpoint} {url}");
    }
}

proptest! {
    #[test]
    fn a_file_stays_below_its_folder_whatever_its_name(text in "[a-c./\\\\:~ \\PC]{0,12}") {
        if let Ok(path) = RepoPath::parse(text) {
            let plain = Path::new(path.as_str())
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            prop_assert!(plain, "{path}");
            prop_assert!(path.parts().all(|part| !part.is_empty() && !part.contains('\\')));
        }
    }

    #[test]
    fn only_a_hash_becomes_the_name_of_a_blob(text in "\\PC{0,80}|[0-9a-f]{40}|[0-9a-f]{64}") {
        if let Some(name) = BlobId::new(text).file_name() {
            prop_assert!(matches!(name.len(), 40 | 64));
            prop_assert!(name.bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }
}
