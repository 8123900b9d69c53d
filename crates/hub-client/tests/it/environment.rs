//! Settings from variables.

use std::{collections::HashMap, path::Path, time::Duration};

use hub_client::{Environment, HubError, Proxies, TokenSource};

fn lookup(pairs: &[(&str, &str)]) -> Result<Environment, HubError> {
    let variables: HashMap<String, String> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Environment::from_lookup(|name| variables.get(name).cloned())
}

fn read(pairs: &[(&str, &str)]) -> Environment {
    let home = [("HOME", "/home/me")];
    lookup(&[&home[..], pairs].concat()).unwrap()
}

#[test]
fn nothing_set_means_the_usual_places() {
    let environment = read(&[]);
    assert_eq!(environment.endpoint.as_str(), "https://huggingface.co");
    assert_eq!(environment.home, Path::new("/home/me/.cache/huggingface"));
    assert_eq!(environment.cache, environment.home.join("hub"));
    assert_eq!(environment.token_path, environment.home.join("token"));
    assert!(!environment.offline);
    assert!(matches!(environment.token, TokenSource::File));
    assert!(matches!(environment.proxies, Proxies::System));
    assert_eq!(environment.read_timeout, Duration::from_secs(10));
}

#[test]
fn folders_follow_each_other() {
    let xdg = read(&[("XDG_CACHE_HOME", "/cache")]);
    assert_eq!(xdg.cache, Path::new("/cache/huggingface/hub"));
    let home = read(&[("XDG_CACHE_HOME", "/cache"), ("HF_HOME", "/hf")]);
    assert_eq!(home.cache, Path::new("/hf/hub"));
    assert_eq!(home.token_path, Path::new("/hf/token"));
    let old = read(&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")]);
    assert_eq!(old.cache, Path::new("/old"));
    let new = read(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]);
    assert_eq!(new.cache, Path::new("/new"));
    let token = read(&[("HF_HOME", "/hf"), ("HF_TOKEN_PATH", "/t/token")]);
    assert_eq!(token.token_path, Path::new("/t/token"));
}

#[test]
fn folders_may_use_the_home_folder_and_other_variables() {
    for (value, expected) in [
        ("~/hub", "/home/me/hub"),
        ("~", "/home/me"),
        ("~other/hub", "~other/hub"),
        ("$DISK/hub", "/disk/hub"),
        ("${DISK}s/hub", "/disks/hub"),
        ("$DISKS/hub", "$DISKS/hub"),
        ("${GONE}/hub", "${GONE}/hub"),
        ("/a$", "/a$"),
        ("/a${DISK", "/a${DISK"),
        ("$DISK$DISK", "/disk/disk"),
    ] {
        let environment = read(&[("DISK", "/disk"), ("HF_HUB_CACHE", value)]);
        assert_eq!(environment.cache, Path::new(expected), "{value}");
    }
}

#[test]
fn the_endpoint_loses_its_slash() {
    let environment = read(&[("HF_ENDPOINT", "http://localhost:8080/")]);
    assert_eq!(environment.endpoint.as_str(), "http://localhost:8080");
}

#[test]
fn flags_are_true_by_four_words() {
    for value in ["1", "ON", "yes", "True", " true "] {
        assert!(read(&[("HF_HUB_OFFLINE", value)]).offline, "{value}");
    }
    for value in ["0", "off", "no", "false", "", "2"] {
        assert!(!read(&[("HF_HUB_OFFLINE", value)]).offline, "{value}");
    }
    assert!(read(&[("TRANSFORMERS_OFFLINE", "1")]).offline);
    assert!(read(&[]).symlinks);
    assert!(!read(&[("HF_HUB_DISABLE_SYMLINKS", "1")]).symlinks);
}

#[test]
fn the_newer_variable_for_the_token_wins() {
    let environment = read(&[("HF_TOKEN", " hf_a\n"), ("HUGGING_FACE_HUB_TOKEN", "hf_b")]);
    assert_eq!(environment.read_token().unwrap().unwrap().expose(), "hf_a");
    let environment = read(&[("HF_TOKEN", " "), ("HUGGING_FACE_HUB_TOKEN", "hf_b")]);
    assert_eq!(environment.read_token().unwrap().unwrap().expose(), "hf_b");
}

#[test]
fn without_a_variable_the_file_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let environment = read(&[("HF_TOKEN_PATH", path.to_str().unwrap())]);
    assert!(environment.read_token().unwrap().is_none());
    std::fs::write(&path, "hf_file\n").unwrap();
    let token = environment.read_token().unwrap().unwrap();
    assert_eq!(token.expose(), "hf_file");
}

#[test]
fn an_implicit_token_can_be_switched_off() {
    let environment = read(&[("HF_TOKEN", "hf_a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
    assert!(matches!(environment.token, TokenSource::Disabled));
    assert!(environment.read_token().unwrap().is_none());
}

#[test]
fn timeouts_are_seconds() {
    let environment = read(&[
        ("HF_HUB_ETAG_TIMEOUT", "1.5"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "30"),
    ]);
    assert_eq!(environment.metadata_timeout, Duration::from_millis(1500));
    assert_eq!(environment.read_timeout, Duration::from_secs(30));
}

#[test]
fn a_value_that_cant_be_used_names_its_variable_and_stays_secret() {
    for (name, value) in [
        ("HF_ENDPOINT", "https://me:hunter2@hub.example"),
        ("HF_TOKEN", "hf hunter2"),
        ("HF_HUB_ETAG_TIMEOUT", "hunter2"),
        ("HF_HUB_ETAG_TIMEOUT", "-1"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "inf"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "NaN"),
    ] {
        let error = lookup(&[(name, value)]).unwrap_err();
        let HubError::InvalidVariable { name: named, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*named, name);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn proxies_are_taken_in_either_case_and_hidden() {
    let environment = read(&[
        ("HTTPS_PROXY", "http://me:hunter2@proxy:1"),
        ("all_proxy", "socks5://other:2"),
        ("NO_PROXY", "localhost"),
        ("HF_TOKEN", "hf_hunter2"),
    ]);
    let Proxies::Given {
        http,
        https,
        except,
    } = &environment.proxies
    else {
        panic!("{:?}", environment.proxies);
    };
    assert!(http.is_some() && https.is_some());
    assert_eq!(except.as_deref(), Some("localhost"));
    let shown = format!("{environment:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
