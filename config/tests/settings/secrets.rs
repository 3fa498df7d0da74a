//! Secrets: shown nowhere, read from one place.

use repram_config::Origin;

use crate::case::{Case, check};

#[test]
fn a_secret_is_shown_nowhere() {
    let case = Case::of("REPRAM_CLUSTER_SECRET=hunter2hunter2hunter2");
    let loaded = case.good();
    let secret = loaded.settings.cluster_secret.as_ref().unwrap();
    assert_eq!(secret.expose(), b"hunter2hunter2hunter2");
    let shown = format!("{loaded:?} {} {}", loaded.render(), loaded.to_json());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        loaded
            .settings
            .to_environment()
            .iter()
            .all(|(_, value)| !value.contains("hunter2"))
    );

    let long = "hunter2".repeat(200);
    check(
        &format!("REPRAM_CLUSTER_SECRET={long}"),
        &["REPRAM_CLUSTER_SECRET: found ******** of 1400 bytes, allowed is 1 to 1024 bytes"],
    );
    Case::new().file("cluster_secret = 5").bad(&[
        "repram.toml:1: cluster_secret: found an integer, allowed is a string: 1 to 1024 bytes",
    ]);
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let case = Case::new();
    let path = case.write("secret", "correct horse battery staple\r\n\n");
    let name = "REPRAM_CLUSTER_SECRET_FILE";
    let case = case.variable(name, path.as_os_str().as_encoded_bytes());
    let loaded = case.good();
    assert_eq!(
        loaded.settings.cluster_secret.as_ref().unwrap().expose(),
        b"correct horse battery staple"
    );
    assert_eq!(
        *loaded.origin("cluster_secret"),
        Origin::Contents(path.clone())
    );

    case.write("secret", "\n");
    let told = case.load().unwrap_err().to_string();
    assert!(
        told.contains("which holds nothing, allowed is a readable file with a secret"),
        "{told}"
    );
    case.write("secret", &"x".repeat(5000));
    assert!(
        case.load()
            .unwrap_err()
            .to_string()
            .contains("which holds more than that")
    );

    std::fs::remove_file(&path).unwrap();
    assert!(
        case.load()
            .unwrap_err()
            .to_string()
            .contains("No such file")
    );
    // A supervised node has the secret from its supervisor.
    let node = case.node().variable("REPRAM_SUPERVISOR_FD", b"6");
    assert_eq!(node.good().settings.cluster_secret, None);
}

#[test]
fn a_secret_has_one_source() {
    check(
        "REPRAM_CLUSTER_SECRET=x REPRAM_CLUSTER_SECRET_FILE=/nonexistent",
        &[
            "REPRAM_CLUSTER_SECRET_FILE: found \"/nonexistent\", allowed is only one of both, and \
           REPRAM_CLUSTER_SECRET is set, too",
        ],
    );
}

#[test]
fn a_token_may_stand_in_a_file_and_is_for_the_supervisor() {
    let case = Case::new();
    let path = case.write("token", "correct-horse-battery-staple\n");
    let case = case.variable("ADMIN_TOKEN_FILE", path.as_os_str().as_encoded_bytes());
    let loaded = case.good();
    let token = loaded.settings.admin_token.as_ref().unwrap();
    assert_eq!(token.expose(), b"correct-horse-battery-staple");
    assert_eq!(*loaded.origin("admin_token"), Origin::Contents(path));

    case.write("token", "correct horse");
    let told = case.load().unwrap_err().to_string();
    let expect = "which holds something else, allowed is a readable file with 1 to 1024 letters";
    assert!(told.contains(expect), "{told}");
    assert_eq!(case.node().good().settings.admin_token, None);
}

#[test]
fn a_token_has_one_source_and_fits_a_header() {
    check(
        "ADMIN_TOKEN=x ADMIN_TOKEN_FILE=/nonexistent",
        &[
            "ADMIN_TOKEN_FILE: found \"/nonexistent\", allowed is only one of both, and ADMIN_TOKEN \
             is set, too",
        ],
    );
    Case::new().file("admin_token = \"two words\"").bad(&[
        "repram.toml:1: admin_token: found ******** of 9 bytes, allowed is 1 to 1024 letters, digits and \
         punctuation marks of ASCII, no blanks",
    ]);
}
