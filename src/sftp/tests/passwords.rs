//! Passwords from a client that sends them whatever is offered.

use russh::MethodKind;
use russh::client::AuthResult;
use tokio::io::AsyncWriteExt;

use super::*;

/// What a refused client is offered to go on with; nothing where it got in.
async fn offered(handle: &mut Handle<Trusting>, user: &str, password: &str) -> Vec<MethodKind> {
    match handle.authenticate_password(user, password).await.unwrap() {
        AuthResult::Success => Vec::new(),
        AuthResult::Failure { remaining_methods, .. } => remaining_methods.iter().copied().collect(),
    }
}

#[test]
fn a_password_is_neither_offered_nor_taken_by_default() {
    run(async {
        let world = World::new();
        let mut handle = world.connect().await;
        assert_eq!(offered(&mut handle, "acme-2", PASSWORD).await, [MethodKind::PublicKey]);
        assert!(authenticate(&mut handle, "acme-2", 1).await, "the key opens it all the same");
    });
}

#[test]
fn nothing_of_an_attempt_is_left_when_another_login_follows() {
    run(async {
        let world = World::with(Options { password_login: true, ..Options::default() });
        let mut handle = world.connect().await;
        let both = [MethodKind::PublicKey, MethodKind::Password];
        for (user, password) in [("acme-2", "vX3-moth-Quarry-82"), ("acme", PASSWORD), ("nobody", PASSWORD), ("acme-2", "")] {
            assert_eq!(offered(&mut handle, user, password).await, both, "{user}");
        }
        assert!(!authenticate(&mut handle, "acme-2", 3).await, "a wrong key");
        assert_eq!(offered(&mut handle, "acme-2", PASSWORD).await, []);
        let sftp = sftp(&handle).await;
        sftp.create("june.csv").await.unwrap().shutdown().await.unwrap();
        assert_eq!(world.hints(), ["acme-2 inbox june.csv 0"]);
    });
}

#[test]
fn many_at_once_are_checked_one_after_the_other_and_all_answered() {
    run(async {
        let world = World::with(Options { password_login: true, password_checks_max: 1, ..Options::default() });
        let mut attempts = tokio::task::JoinSet::new();
        for n in 0..12 {
            let mut handle = world.connect().await;
            let password = if n % 2 == 0 { PASSWORD } else { "vX3-moth-Quarry-82" };
            attempts.spawn(async move { (n % 2 == 0, handle.authenticate_password("acme-2", password).await.unwrap().success()) });
        }
        for (right, opened) in attempts.join_all().await {
            assert_eq!(right, opened);
        }
    });
}

#[test]
fn wrong_passwords_use_up_the_tries_of_a_connection() {
    run(async {
        let world = World::with(Options { password_login: true, login_attempts_max: 3, ..Options::default() });
        let mut handle = world.connect().await;
        for _ in 0..3 {
            assert!(!handle.authenticate_password("acme-2", "wrong").await.unwrap().success());
        }
        let fourth = handle.authenticate_password("acme-2", PASSWORD).await;
        assert!(!fourth.is_ok_and(|result| result.success()), "the right one comes too late");
    });
}
