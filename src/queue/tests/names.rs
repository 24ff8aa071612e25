//! Names: what a recording's outputs are called, and what becomes of a job when its file is renamed.

use super::*;

#[tokio::test]
async fn what_was_stopped_or_failed_stays_so_under_a_new_name_and_what_only_went_away_goes_on() {
    for (end, state) in [
        ("stopped", State::Cancelled),
        ("format_refused", State::Failed),
        ("source_vanished", State::Queued),
    ] {
        let table = table();
        let id = table.add("/in/a.mp3", 1).await;
        if end == "stopped" {
            table.queue.cancel(vec![id], at(1)).await.unwrap();
        } else {
            table.claim_job().await;
            let reason = Reason::new(end, "no");
            table.queue.fail(id, reason, None, at(3)).await.unwrap();
        }
        let candidate = recording("/in/new name.mp3", 1);
        let kin = table.queue.kin(vec![(
            candidate.source.clone(),
            candidate.hash,
            candidate.settings.clone(),
        )]);
        let [elsewhere] = kin.await.unwrap().remove(0).elsewhere.try_into().unwrap();
        assert_eq!(elsewhere.id, id, "{end}");
        let gone = Some(Gone { id, respelt: false });
        let moved = table.queue.enqueue(candidate, gone, false, at(9)).await;
        assert_eq!(moved.unwrap(), Enqueued::Moved(id), "{end}");
        assert_eq!(table.state(id).await, state, "{end}");
        assert_eq!(
            table.queue.job(id).await.unwrap().source,
            Path::new("/in/new name.mp3")
        );
    }
}

#[tokio::test]
async fn two_recordings_that_share_a_stem_get_different_bases() {
    let table = table();
    let one = table.add("/in/a.mp3", 1).await;
    let other = table.add("/in/a.wav", 2).await;
    assert_eq!(table.queue.job(one).await.unwrap().base, Path::new("/in/a"));
    assert_eq!(
        table.queue.job(other).await.unwrap().base,
        Path::new("/in/a.wav")
    );
}

#[tokio::test]
async fn three_recordings_that_share_a_name_in_one_tree_get_three_bases() {
    let table = table();
    let mut bases = Vec::new();
    for (content, path) in (1_u8..).zip(["/in/a/x.mp3", "/in/b/x.mp3", "/in/c/x.mp3"]) {
        let mut candidate = recording(path, content);
        candidate.root = Path::new(path).parent().unwrap().to_owned();
        candidate.output_dir = Some("/out".into());
        let enqueued = table
            .queue
            .enqueue(candidate, None, false, at(1))
            .await
            .unwrap();
        let Enqueued::New(id) = enqueued else {
            panic!("{enqueued:?}")
        };
        bases.push(table.queue.job(id).await.unwrap().base);
    }
    bases.sort();
    bases.dedup();
    assert_eq!(bases.len(), 3, "{bases:?}");
}

#[tokio::test]
async fn outputs_that_are_not_written_yet_keep_the_name_that_was_decided_once() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let second = table.add("/in/a.wav", 2).await;
    for id in [first, second] {
        assert_eq!(table.claim_job().await.id, id);
        table.queue.commit(id, at(3)).await.unwrap();
        let raw = RawReply {
            status: 200,
            body: b"{}".to_vec(),
            request_id: None,
        };
        let reply = table.queue.store_reply(id, raw, at(4)).await.unwrap();
        if id == first {
            table.queue.done(id, reply, at(6)).await.unwrap();
        }
    }
    let gone = Some(Gone {
        id: first,
        respelt: false,
    });
    let renamed = table
        .queue
        .enqueue(recording("/in/z.mp3", 1), gone, false, at(7));
    assert_eq!(renamed.await.unwrap(), Enqueued::Moved(first));
    let again = table
        .queue
        .enqueue(recording("/in/a.wav", 2), None, false, at(8));
    assert!(matches!(again.await.unwrap(), Enqueued::Known(_)));
    let base = async |id| table.queue.job(id).await.unwrap().base;
    assert_eq!(base(second).await, Path::new("/in/a.wav"));
    let moved = Candidate {
        output_dir: Some("/out".into()),
        ..recording("/in/a.wav", 2)
    };
    table
        .queue
        .enqueue(moved, None, false, at(9))
        .await
        .unwrap();
    assert_eq!(base(second).await.parent(), Some(Path::new("/out")));
}

#[tokio::test]
async fn recordings_whose_stems_differ_by_capitals_alone_have_outputs_that_every_disk_holds_apart()
{
    let table = table();
    let names = [
        ("/in/Talk.wav", "/in/Talk"),
        ("/in/talk.mp3", "/in/talk.mp3"),
        ("/in/TALK.ogg", "/in/TALK.ogg"),
        ("/in/other/talk.mp3", "/in/other/talk"),
    ];
    for (content, (path, base)) in (1..).zip(names) {
        let id = table.add(path, content).await;
        assert_eq!(table.queue.job(id).await.unwrap().base, Path::new(base));
    }
}

#[tokio::test]
async fn a_recording_that_is_respelt_keeps_its_outputs_and_one_that_is_renamed_does_not() {
    let respelt = |respelt| async move {
        let table = table();
        let id = table.add("/in/Talk.wav", 1).await;
        let gone = Some(Gone { id, respelt });
        let talk = recording("/in/talk.wav", 1);
        let moved = table.queue.enqueue(talk, gone, false, at(9)).await.unwrap();
        assert_eq!(moved, Enqueued::Moved(id));
        let job = table.queue.job(id).await.unwrap();
        assert_eq!(job.source, Path::new("/in/talk.wav"));
        job.base
    };
    assert_eq!(respelt(true).await, Path::new("/in/Talk"));
    assert_eq!(respelt(false).await, Path::new("/in/talk"));
}

#[tokio::test]
async fn a_renamed_recording_keeps_its_job_and_gets_outputs_under_its_new_name() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    table.finish(id).await;
    let moved = table
        .queue
        .enqueue(
            recording("/in/b.mp3", 1),
            Some(Gone { id, respelt: false }),
            false,
            at(9),
        )
        .await
        .unwrap();
    assert_eq!(moved, Enqueued::Moved(id));
    let job = table.queue.job(id).await.unwrap();
    assert_eq!(job.base, Path::new("/in/b"));
    assert!(matches!(job.stage, Stage::Received { .. }));
}
