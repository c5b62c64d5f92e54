//! Files with keys in them: whole, private, or refused with what is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::support::{Folder, authority, credentials, now};
use anet_cluster::trust::{Authority, Credentials, Role, TrustError};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn put(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn an_authority_is_loaded_as_it_was_made_and_never_overwritten() {
    let folder = Folder::new("authority");
    let home = folder.0.join("new/trust");
    let made = Authority::create(&home, "lab", now()).unwrap();
    let loaded = Authority::load(&home).unwrap();
    assert_eq!(
        (loaded.cluster(), loaded.certificate()),
        ("lab", made.certificate())
    );
    assert_eq!(
        (
            mode(&home),
            mode(&home.join("authority.pem")),
            mode(&home.join("ca.pem"))
        ),
        (0o700, 0o600, 0o644)
    );
    assert_eq!(
        fs::read_to_string(home.join("ca.pem")).unwrap(),
        made.certificate().to_pem()
    );
    let again = Authority::create(&home, "lab", now()).unwrap_err();
    assert_eq!(
        again,
        TrustError::Exists {
            path: home.join("authority.pem")
        }
    );
    assert_eq!(Authority::load(&home).unwrap().fingerprint(), made.fingerprint());
    // What the loaded one issues, the first one's members believe.
    let member = credentials(&loaded, Role::Host, "h1");
    assert!(
        Credentials::new(
            member.key().clone(),
            member.certificate().clone(),
            made.certificate().clone()
        )
        .is_ok()
    );
}

#[test]
fn credentials_are_loaded_as_they_were_saved_and_replaced_whole() {
    let folder = Folder::new("credentials");
    let (file, authority) = (folder.0.join("member.pem"), authority());
    let first = credentials(&authority, Role::Host, "h1");
    // What a process that was killed while writing may leave behind.
    put(&folder.0.join("member.pem.new"), "half");
    first.save(&file).unwrap();
    assert_eq!(
        (mode(&file), fs::read_dir(&folder.0).unwrap().count()),
        (0o600, 1)
    );
    let second = credentials(&authority, Role::Host, "h1");
    second.save(&file).unwrap();
    let loaded = Credentials::load(&file).unwrap();
    assert_eq!(loaded.certificate(), second.certificate());
    assert_eq!(loaded.key().to_pem(), second.key().to_pem());
    assert_eq!(loaded.authority(), authority.certificate());
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = Folder::new("exposed");
    let file = folder.0.join("member.pem");
    credentials(&authority(), Role::Host, "h1").save(&file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Credentials::load(&file).unwrap_err();
    assert_eq!(
        error,
        TrustError::Exposed {
            path: file.clone(),
            mode: 0o640
        }
    );
    assert!(
        error
            .to_string()
            .ends_with("(mode 640): chmod 600 it, and replace the key if somebody may have seen it")
    );
}

#[test]
fn a_cut_file_is_refused_wherever_it_ends() {
    let folder = Folder::new("cut");
    let file = folder.0.join("member.pem");
    let member = credentials(&authority(), Role::Host, "h1");
    member.save(&file).unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    // The last line's end may be missing without harm.
    for length in (0..whole.len() - 1).step_by(11) {
        put(&file, &whole[..length]);
        let error = Credentials::load(&file).unwrap_err();
        assert!(
            matches!(error, TrustError::Damaged { .. }),
            "cut at {length}: {error}"
        );
    }
    put(&file, &whole);
    assert!(Credentials::load(&file).is_ok());
}

#[test]
fn a_foreign_file_is_refused_with_what_it_is() {
    let folder = Folder::new("foreign");
    let (home, ours) = (folder.0.join("trust"), authority());
    Authority::create(&home, "lab", now()).unwrap();
    let file = home.join("authority.pem");
    let own = fs::read_to_string(&file).unwrap();
    let member = credentials(&ours, Role::Host, "h1");
    let certificate = ours.certificate().to_pem();
    for (text, wrong) in [
        (String::new(), "expected one PKCS#8 key, found 0"),
        ("hello".to_owned(), "expected one PKCS#8 key, found 0"),
        (
            member.key().to_pem() + &member.certificate().to_pem(),
            "it is not a cluster authority's",
        ),
        (
            member.key().to_pem() + &certificate,
            "certificate and key do not belong together",
        ),
        (member.key().to_pem() + &own, "expected one PKCS#8 key, found 2"),
        (
            own.clone() + &certificate,
            "expected one certificate beside the key",
        ),
        ("x".repeat(70_000), "is longer than 64 KiB"),
    ] {
        put(&file, &text);
        let error = Authority::load(&home).unwrap_err().to_string();
        assert!(
            error.contains(wrong) && error.contains("authority.pem"),
            "{error}"
        );
        assert!(error.ends_with("put it back from a backup"), "{error}");
    }
    put(&file, [0xff; 40]);
    assert!(
        Authority::load(&home)
            .unwrap_err()
            .to_string()
            .contains("is not text")
    );
    fs::remove_file(&file).unwrap();
    assert!(
        Authority::load(&home)
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
}

#[test]
fn a_members_file_with_another_clusters_authority_is_refused() {
    let folder = Folder::new("other-cluster");
    let file = folder.0.join("member.pem");
    let member = credentials(&authority(), Role::Host, "h1");
    let other = Authority::generate("other", now()).unwrap();
    put(
        &file,
        member.key().to_pem() + &member.certificate().to_pem() + &other.certificate().to_pem(),
    );
    let error = Credentials::load(&file).unwrap_err().to_string();
    assert!(
        error.contains("the certificate of anet://lab/host/h1 is of another cluster"),
        "{error}"
    );
}
