//! The token's file.

use hub_client::{HubError, Token, TokenStore};

#[test]
fn what_is_written_is_read_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = TokenStore::new(folder.path().join("hf/home/token"));
    assert!(store.read().unwrap().is_none());
    assert!(!store.remove().unwrap());
    store.write(&Token::new("hf_one").unwrap()).unwrap();
    store.write(&Token::new("hf_two").unwrap()).unwrap();
    assert_eq!(store.read().unwrap().unwrap().expose(), "hf_two");
    assert_eq!(std::fs::read_to_string(store.path()).unwrap(), "hf_two");
    assert!(store.remove().unwrap());
    assert!(store.read().unwrap().is_none());
    // No other file is left beside it.
    let folder = store.path().parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let store = TokenStore::new(folder.path().join("hf/token"));
    store.write(&Token::new("hf_one").unwrap()).unwrap();
    assert_eq!(mode(store.path()), 0o600);
    assert_eq!(mode(store.path().parent().unwrap()), 0o700);
    // A file that others could read is replaced by one that they can't.
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(store.path(), open).unwrap();
    store.write(&Token::new("hf_two").unwrap()).unwrap();
    assert_eq!(mode(store.path()), 0o600);
}

#[test]
fn a_blank_file_is_no_token_and_rubbish_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let store = TokenStore::new(folder.path().join("token"));
    std::fs::write(store.path(), " \n").unwrap();
    assert!(store.read().unwrap().is_none());
    std::fs::write(store.path(), "hf_hunter2 x").unwrap();
    let error = store.read().unwrap_err();
    assert!(matches!(error, HubError::InvalidName(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_file_that_cant_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // A folder in the file's place.
    let store = TokenStore::new(folder.path());
    let token = Token::new("hf_x").unwrap();
    for error in [
        store.read().unwrap_err(),
        store.write(&token).unwrap_err(),
        store.remove().unwrap_err(),
    ] {
        assert!(matches!(error, HubError::TokenFile { .. }), "{error:?}");
        let path = folder.path().display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
        assert!(!error.suggestion().is_empty());
    }
}
