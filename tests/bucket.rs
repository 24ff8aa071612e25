//! Large recordings by way of a bucket: against storages that check every signature.
//!
//! Most of it runs against s3s in this process; what has to hold for a real server runs against SeaweedFS
//! as well, which CI must have and a machine without the network may lack.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use stenod::delivery::bucket::{Bucket, Secret, Settings};
use stenod::domain::object::Installation;
use stenod::durable::{self, Existing};
use stenod_support::audio::wav;
use stenod_support::s3::{self, Asked, Deviation, S3};
use stenod_support::seaweed::{self, Seaweed};
use stenod_support::stage::{Stage, eventually};

/// Seconds of the recording: 20 MB, which are two whole parts and a bit.
const SECONDS: f64 = 630.0;
const PREFIX: &str = "inbox/stenod";

fn stage(endpoint: &str, secret: &str) -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    let file = stage.root().join("bucket-secret");
    write(&file, secret);
    stage.set("large.route", "bucket");
    stage.set("bucket.url", format!("s3://{}/{PREFIX}", s3::BUCKET));
    stage.set("bucket.endpoint", endpoint);
    stage.set("bucket.access_key_id", s3::ACCESS_KEY);
    stage.set("bucket.secret_access_key_file", file.display().to_string());
    stage
}

fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    durable::write(path.as_ref(), bytes.as_ref(), Existing::Replace).unwrap();
    allow(path.as_ref(), 0o600);
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn here(storage: &S3) -> Stage {
    stage(&storage.endpoint(), s3::SECRET_KEY)
}

fn job(stage: &Stage) -> serde_json::Value {
    stage.json(&["list"])[0].clone()
}

/// What the service was given: how many bytes, and what they hash to.
fn given(stage: &Stage) -> Vec<(usize, String)> {
    stage.service.look(|log| {
        let submits = log.exchanges.iter().filter_map(|it| it.submit.as_ref());
        submits.map(|it| (it.bytes, it.content.clone())).collect()
    })
}

fn expected(recording: &[u8]) -> (usize, String) {
    (
        recording.len(),
        blake3::hash(recording).to_hex().to_string(),
    )
}

/// Whether a secret of the bucket is anywhere in the files below the state folder, or in `told`.
fn tells_a_secret(stage: &Stage, told: &str) -> bool {
    let files = fs::read_dir(stage.state()).unwrap();
    let kept = files.filter_map(|file| fs::read(file.unwrap().path()).ok());
    let all = kept.chain([told.as_bytes().to_vec()]);
    all.into_iter().any(|text| {
        [s3::SECRET_KEY.as_bytes(), b"X-Amz-Signature"]
            .iter()
            .any(|secret| text.windows(secret.len()).any(|window| window == *secret))
    })
}

#[test]
fn a_large_recording_goes_by_the_bucket_is_fetched_whole_and_leaves_nothing_there() {
    let storage = S3::start();
    let stage = here(&storage);
    let recording = wav(1, SECONDS);
    stage.put("a meeting.wav", &recording);
    let outcome = stage.stenod(["-vv", "--json", "run"]).success();
    assert_eq!(given(&stage), [expected(&recording)]);
    assert_eq!(job(&stage)["route"], "bucket");
    assert!(stage.at("a meeting.json").exists());
    assert_eq!(storage.objects(), []);
    assert_eq!(storage.unfinished(), 0);
    let keys: Vec<Asked> = storage.asked();
    assert!(keys.iter().all(|asked| !asked.path.contains("meeting")));
    assert!(!tells_a_secret(&stage, &outcome.tell()));
    let uploaded: Vec<u64> = outcome
        .lines()
        .iter()
        .filter(|line| line["type"] == "progress")
        .filter_map(|line| line["uploaded_bytes"].as_u64())
        .collect();
    assert!(uploaded.is_sorted(), "{uploaded:?}");
    assert_eq!(uploaded.last(), Some(&(recording.len() as u64)));
    stage.check();
}

#[test]
fn after_kills_in_the_middle_only_what_is_missing_is_sent_and_it_is_paid_once() {
    let storage = S3::start();
    let stage = here(&storage);
    let recording = wav(1, SECONDS);
    stage.put("a.wav", &recording);
    storage.deviate(|asked| (asked.part() == Some(3)).then_some(Deviation::Hang));
    let thirds = || {
        let asked = storage.asked();
        asked.iter().filter(|it| it.part() == Some(3)).count()
    };
    // An upload is no danger to the process: it is not set aside, however often that dies.
    for kills in 1..=3 {
        let running = stage.call(["run"]).start();
        // The third part is not begun before one of the first two is in the table.
        eventually("the third part", || thirds() == kills);
        running.kill();
    }
    assert_eq!(stage.service.look(|log| log.ledger().charges.len()), 0);
    storage.behave();
    stage.stenod(["run"]).success();
    assert_eq!(given(&stage), [expected(&recording)]);
    let mut sent: BTreeMap<u32, usize> = BTreeMap::new();
    for part in storage.asked().iter().filter_map(Asked::part) {
        *sent.entry(part).or_default() += 1;
    }
    assert!(sent[&1] == 1 || sent[&2] == 1, "{sent:?}");
    assert_eq!(sent[&3], 4);
    let begun = storage
        .asked()
        .iter()
        .filter(|asked| asked.method == "POST" && asked.query.starts_with("uploads"))
        .count();
    assert_eq!(begun, 1, "the upload was gone on with");
    assert_eq!(storage.objects(), []);
    stage.check();
}

/// Leaves a run's upload of `a.wav` with two of its parts, and nobody at work.
fn killed_in_the_middle(storage: &S3, stage: &Stage) {
    stage.put("a.wav", &wav(1, SECONDS));
    storage.deviate(|asked| (asked.part() == Some(3)).then_some(Deviation::Hang));
    let running = stage.call(["run"]).start();
    eventually("the third part", || {
        storage.asked().iter().any(|asked| asked.part() == Some(3))
    });
    running.kill();
    assert_ne!(storage.unfinished(), 0);
    storage.behave();
}

#[test]
fn what_a_kill_left_in_the_bucket_goes_when_its_job_is_cancelled() {
    let storage = S3::start();
    let stage = here(&storage);
    killed_in_the_middle(&storage, &stage);
    // It waits for the bucket, so that it can be cancelled.
    let secret = stage.root().join("bucket-secret");
    write(&secret, "wrong");
    stage.stenod(["run"]);
    stage.stenod(["cancel", "1"]).success();
    assert_ne!(storage.unfinished(), 0);
    write(&secret, s3::SECRET_KEY);
    stage.stenod(["run"]);
    assert_eq!((storage.unfinished(), storage.objects()), (0, Vec::new()));
    assert_eq!(given(&stage), []);
}

#[test]
fn an_upload_that_no_row_goes_on_with_is_taken_back() {
    let storage = S3::start();
    let stage = here(&storage);
    stage.put("a.wav", &wav(1, SECONDS));
    let mut first = true;
    storage.deviate(move |asked| {
        let is_begun = asked.method == "POST" && asked.query.starts_with("uploads");
        (is_begun && std::mem::take(&mut first)).then_some(Deviation::Forget)
    });
    stage.stenod(["run"]).success();
    assert_eq!(given(&stage).len(), 1);
    assert_ne!(storage.unfinished(), 0);
    let _watch = stage.call(["watch"]).start();
    eventually("an empty bucket", || storage.unfinished() == 0);
}

#[test]
fn a_recording_that_is_deleted_after_a_kill_leaves_nothing_in_the_bucket() {
    let storage = S3::start();
    let stage = here(&storage);
    killed_in_the_middle(&storage, &stage);
    fs::remove_file(stage.at("a.wav")).unwrap();
    stage
        .stenod(["run"])
        .code(3)
        .says("the recording is not there any more");
    assert_eq!(job(&stage)["state"], "failed");
    assert_eq!((storage.unfinished(), storage.objects()), (0, Vec::new()));
    stage.stenod(["run"]).success();
}

#[test]
fn cancel_stops_an_upload_in_the_middle_and_its_parts_are_taken_away() {
    let storage = S3::start();
    let stage = here(&storage);
    stage.put("a.wav", &wav(1, SECONDS));
    storage.deviate(|asked| (asked.part() == Some(3)).then_some(Deviation::Hang));
    let _watch = stage.call(["watch"]).start();
    eventually("the third part", || {
        storage.asked().iter().any(|asked| asked.part() == Some(3))
    });
    let outcome = stage.stenod(["cancel", "1"]);
    outcome.success().says("1 cancelled");
    assert_eq!(job(&stage)["state"], "cancelled");
    storage.behave();
    eventually("an empty bucket", || {
        storage.unfinished() == 0 && storage.objects().is_empty()
    });
    assert_eq!(given(&stage), []);
}

#[test]
fn a_recording_that_changes_while_it_is_uploaded_is_not_submitted_and_leaves_nothing_there() {
    let storage = S3::start();
    let stage = here(&storage);
    let path = stage.put("a.wav", &wav(1, SECONDS));
    let changed = wav(2, SECONDS);
    storage.deviate(move |asked| {
        if asked.part() == Some(3) {
            write(&path, &changed);
        }
        None
    });
    stage.stenod(["run"]).code(3);
    assert_eq!(given(&stage), []);
    assert_eq!(job(&stage)["reason"], "source_changed");
    assert_eq!((storage.unfinished(), storage.objects()), (0, Vec::new()));
}

/// What was given to the service by a link, in a bucket that is empty afterwards.
#[track_caller]
fn assert_sent_as_opus_by_link(stage: &Stage, storage: &S3, most_bytes: usize) {
    let job = job(stage);
    assert_eq!(
        (&job["route"], &job["state"]),
        (&"bucket".into(), &"done".into()),
        "{job}"
    );
    let [(bytes, _)] = given(stage)[..] else {
        panic!("{:?}", given(stage));
    };
    assert!(bytes < most_bytes, "{bytes} bytes");
    let asked = storage.asked();
    assert!(
        asked
            .iter()
            .all(|asked| { asked.path.ends_with(".ogg") || asked.method == "GET" })
    );
    assert_eq!((storage.unfinished(), storage.objects()), (0, Vec::new()));
    let spool = fs::read_dir(stage.state().join("spool")).unwrap();
    assert_eq!(spool.count(), 0);
    stage.check();
}

#[test]
fn what_the_service_does_not_read_goes_to_the_bucket_as_opus() {
    let storage = S3::start();
    let stage = here(&storage);
    stage.set("large.route", "auto");
    stage.set("large.direct_limit", "16 KiB");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recordings");
    let flac = fs::read(folder.join("jfk.flac")).unwrap();
    stage.put("a.flac", &flac);
    let why = stage.json(&["plan"])["items"][0]["why"].to_string();
    assert!(why.contains("FLAC") && why.contains("bucket"), "{why}");
    stage.stenod(["run"]).success();
    assert_sent_as_opus_by_link(&stage, &storage, 60_000);
}

#[test]
fn what_is_too_large_for_a_link_goes_to_the_bucket_as_opus() {
    let storage = S3::start();
    let stage = here(&storage);
    stage.set("large.direct_limit", "64 KiB");
    stage.set("large.link_limit", "1 MB");
    let recording = wav(1, 60.0);
    assert!(recording.len() > 1_000_000);
    stage.put("a.wav", &recording);
    stage.stenod(["run"]).success();
    assert_sent_as_opus_by_link(&stage, &storage, 300_000);
}

#[test]
fn what_is_larger_than_its_length_promised_takes_another_route() {
    let storage = S3::start();
    let stage = here(&storage);
    stage.set("large.route", "auto");
    stage.set("large.direct_limit", "8 KiB");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recordings");
    let mut recording = fs::read(folder.join("librivox-0920.m4a")).unwrap();
    // Its table of times says that 95 packets of 64 ms are packets of 2 ms.
    let times = recording.windows(4).position(|name| name == b"stts");
    let times = &mut recording[times.unwrap() + 12..][..8];
    assert_eq!(times, [0, 0, 0, 95, 0, 0, 4, 0]);
    times[4..].copy_from_slice(&32_u32.to_be_bytes());
    stage.put("a.m4a", &recording);
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["routes"]["shrink"], 1, "{plan}");
    stage.stenod(["run"]).success();
    assert_eq!(given(&stage), [expected(&recording)]);
    let show = stage.json(&["show", "1"]);
    assert_eq!(show["route"], "bucket", "{show}");
    assert!(show["why"].to_string().contains("promised"), "{show}");
    assert_eq!(
        fs::read_dir(stage.state().join("spool")).unwrap().count(),
        0
    );
    stage.check();
}

#[test]
fn a_storage_elsewhere_is_reached_through_the_proxy_of_the_environment() {
    let storage = S3::start();
    let stage = stage("http://storage.test:9000", s3::SECRET_KEY);
    let doctor = |proxy: &str| {
        let call = stage.call(["doctor"]).env("HTTP_PROXY", proxy);
        call.env("NO_PROXY", "127.0.0.1").output()
    };
    doctor(&storage.endpoint())
        .success()
        .says("can be written, fetched and deleted");
    assert!(storage.asked().iter().any(|asked| asked.method == "PUT"));
    assert_eq!(storage.objects(), []);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    doctor(&nobody).code(1).says("cannot be reached");
}

#[test]
fn credentials_that_are_refused_keep_the_recording_waiting_until_they_are_right() {
    let storage = S3::start();
    let stage = stage(&storage.endpoint(), "wrong");
    stage.put("a.wav", &wav(1, SECONDS));
    stage.stenod(["run"]).code(3);
    let waiting = job(&stage);
    assert_eq!(
        (&waiting["state"], &waiting["reason"]),
        (&"waiting".into(), &"bucket".into())
    );
    assert_eq!(given(&stage), []);
    write(stage.root().join("bucket-secret"), s3::SECRET_KEY);
    stage.stenod(["run"]).success();
    assert_eq!(job(&stage)["state"], "done");
    assert_eq!(storage.objects(), []);
}

#[test]
fn what_cannot_be_deleted_keeps_no_transcript_waiting_is_told_and_goes_later() {
    let storage = S3::start();
    let stage = here(&storage);
    stage.put("a.wav", &wav(1, SECONDS));
    storage.deviate(|asked| {
        (asked.method == "DELETE").then_some(Deviation::Refuse(403, "AccessDenied"))
    });
    stage.stenod(["run"]).success();
    assert_eq!(job(&stage)["state"], "done");
    let status = stage.json(&["status"]);
    let told = status["bucket_leftovers"][0]["message"].as_str().unwrap();
    assert!(told.contains("AccessDenied"), "{status}");
    assert_eq!(storage.objects().len(), 1);
    storage.behave();
    stage.stenod(["run"]).success();
    assert_eq!(storage.objects(), []);
    let status = stage.json(&["status"]);
    assert_eq!(status["bucket_leftovers"].as_array().map(Vec::len), Some(0));
}

#[test]
fn what_lies_in_the_bucket_of_an_earlier_configuration_is_told_until_it_is_taken_out_there() {
    let (storage, other) = (S3::start(), S3::start());
    let stage = here(&storage);
    stage.put("a.wav", &wav(1, SECONDS));
    storage.deviate(|asked| {
        (asked.method == "DELETE").then_some(Deviation::Refuse(403, "AccessDenied"))
    });
    stage.stenod(["run"]).success();
    storage.behave();
    // The same name elsewhere is another bucket.
    stage.set("bucket.endpoint", other.endpoint());
    stage.stenod(["run"]).success();
    assert_eq!((storage.objects().len(), other.objects().len()), (1, 0));
    let status = stage.json(&["status"]);
    let left = &status["bucket_leftovers"][0];
    let told = left["message"].as_str().unwrap();
    assert!(told.contains("names another bucket"), "{status}");
    let bucket = left["bucket"].as_str().unwrap();
    assert!(bucket.ends_with(&storage.endpoint()), "{bucket}");
    stage
        .stenod(["doctor", "--offline"])
        .says("names another bucket");
    stage.set("bucket.endpoint", storage.endpoint());
    stage.stenod(["run"]).success();
    assert_eq!(storage.objects(), []);
    let status = stage.json(&["status"]);
    assert_eq!(status["bucket_leftovers"].as_array().map(Vec::len), Some(0));
}

#[test]
fn doctor_tries_the_bucket_out_and_names_a_missing_permission() {
    let storage = S3::start();
    let stage = here(&storage);
    stage
        .stenod(["doctor"])
        .success()
        .says("can be written, fetched and deleted");
    assert_eq!(storage.objects(), []);
    storage.deviate(|asked| {
        (asked.method == "DELETE").then_some(Deviation::Refuse(403, "AccessDenied"))
    });
    stage.stenod(["doctor"]).code(1).says("deleting it");
    storage.behave();
    let secret = stage.root().join("bucket-secret");
    allow(&secret, 0o644);
    let open = stage.stenod(["doctor", "--offline"]).code(1);
    open.says("can be read by others (mode 644)")
        .says("chmod 600");
    write(secret, "wrong");
    stage
        .stenod(["doctor"])
        .code(1)
        .says("refuses the credentials");
}

// Against SeaweedFS.

fn library(storage: &Seaweed, lifetime: Duration) -> Bucket {
    let settings = Settings {
        url: format!("s3://{}/{PREFIX}", seaweed::BUCKET),
        endpoint: Some(storage.endpoint()),
        region: None,
        key_id: Some(seaweed::ACCESS_KEY.to_owned()),
        secret: Some(Secret::Word(SecretString::from(seaweed::SECRET_KEY))),
        link_lifetime: lifetime,
        variables: Box::new(|_| None),
    };
    Bucket::open(&settings, Box::new(|_, _| Duration::ZERO)).unwrap()
}

fn blocking<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

fn objects(storage: &Seaweed) -> usize {
    let bucket = library(storage, Duration::from_secs(60));
    blocking(bucket.list()).unwrap().len()
}

#[test]
fn seaweedfs_takes_a_recording_gives_it_to_the_service_and_is_empty_afterwards() {
    let Some(storage) = Seaweed::start() else {
        return;
    };
    let stage = stage(&storage.endpoint(), seaweed::SECRET_KEY);
    stage
        .stenod(["doctor"])
        .success()
        .says("can be written, fetched and deleted");
    let recording = wav(1, SECONDS);
    stage.put("a.wav", &recording);
    stage.stenod(["run"]).success();
    assert_eq!(given(&stage), [expected(&recording)]);
    assert_eq!(objects(&storage), 0);
    stage.check();
}

async fn status_of(link: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(link).send().await.unwrap().status().as_u16()
}

#[test]
fn seaweedfs_gives_nothing_by_a_link_that_was_tampered_with_or_has_expired() {
    let Some(storage) = Seaweed::start() else {
        return;
    };
    let bucket = library(&storage, Duration::from_secs(3600));
    let installation = Installation::nobody();
    let trial = blocking(bucket.try_out(&installation)).unwrap();
    assert!(matches!(trial.fetch, Some(Ok(()))), "{trial:?}");
    let name = Bucket::new_name(&installation, "wav").unwrap();
    let sign = |bucket: &Bucket| blocking(bucket.link(&name)).unwrap();
    let link = sign(&bucket);
    // What is not there may be asked for, what is signed wrongly may not.
    assert_eq!(blocking(status_of(link.expose_secret())), 404);
    let forged = [
        link.expose_secret()
            .replace("Expires=3600", "Expires=36000"),
        link.expose_secret().replace(".wav", ".mp3"),
        format!("{}0", link.expose_secret()),
        sign(&library(&storage, Duration::ZERO))
            .expose_secret()
            .to_owned(),
    ];
    for forged in forged {
        assert_ne!(&forged, link.expose_secret());
        let mut status = blocking(status_of(&forged));
        // The last one ends with the second in which it was made.
        while status == 404 {
            status = blocking(status_of(&forged));
        }
        assert!(matches!(status, 400 | 403), "{status}: {forged}");
    }
}

/// Runs one of these tests where SeaweedFS cannot be had, and tells whether it passed.
fn passes_without_seaweedfs(ci: Option<&str>) -> bool {
    let folder = tempfile::tempdir().unwrap();
    for tool in ["bash", "dirname", "sha256sum", "cut"] {
        let paths = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
        let found = paths.into_iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, folder.path().join(tool)).unwrap();
    }
    let mut test = std::process::Command::new(std::env::current_exe().unwrap());
    test.args([
        "--exact",
        "seaweedfs_takes_a_recording_gives_it_to_the_service_and_is_empty_afterwards",
    ])
    .env("PATH", folder.path())
    .env("CI_TOOLS", folder.path())
    .env_remove("CI");
    if let Some(ci) = ci {
        test.env("CI", ci);
    }
    test.output().unwrap().status.success()
}

#[test]
fn seaweedfs_may_be_missing_but_not_where_it_has_to_be_tried() {
    assert!(passes_without_seaweedfs(None));
    assert!(!passes_without_seaweedfs(Some("true")));
}

#[test]
fn seaweedfs_is_cleaned_after_a_kill_in_the_middle_of_an_upload() {
    let Some(storage) = Seaweed::start() else {
        return;
    };
    let stage = stage(&storage.endpoint(), seaweed::SECRET_KEY);
    let recording = wav(1, SECONDS * 5.0);
    stage.put("a.wav", &recording);
    let running = stage.call(["--json", "run"]).start();
    eventually("some progress", || {
        running.stdout().contains("\"uploaded_bytes\"")
    });
    running.kill();
    let bucket = library(&storage, Duration::from_secs(60));
    let unfinished = || blocking(bucket.unfinished()).unwrap();
    assert_eq!(unfinished().len(), 1);
    stage.stenod(["run"]).success();
    assert_eq!(given(&stage), [expected(&recording)]);
    assert_eq!((objects(&storage), unfinished().len()), (0, 0));
    stage.check();
}
