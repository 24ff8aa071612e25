//! How far the cutting of a recording is.

use super::*;
use crate::domain::cut::Stretch;
use crate::domain::route::Cut;

fn piece(number: u64) -> NewPiece {
    NewPiece {
        stretch: Stretch {
            start: number * 10,
            end: number * 10 + 10,
        },
        size: 7,
        hash: ContentHash([1; 32]),
    }
}

#[tokio::test]
async fn pieces_are_kept_until_they_are_jobs_and_only_by_the_cut_that_made_them() {
    let table = table();
    table.add("/in/a.mp3", 1).await;
    let id = table.claim_job().await.id;
    let cut = Cut {
        piece_us: 1,
        most_bytes: 2,
    };
    let queue = &table.queue;
    for number in 0..3 {
        queue.piece_made(id, cut, piece(number)).await.unwrap();
    }
    let made = queue.pieces_made(id, cut).await.unwrap();
    assert_eq!(made, [piece(0), piece(1), piece(2)]);
    assert_eq!(queue.unfinished_pieces().await.unwrap().len(), 3);
    queue.keep_pieces_made(id, 1).await.unwrap();
    queue.piece_made(id, cut, piece(1)).await.unwrap();
    let made = queue.pieces_made(id, cut).await.unwrap();
    assert_eq!(made, [piece(0), piece(1)]);
    let other = Cut { piece_us: 9, ..cut };
    assert_eq!(queue.pieces_made(id, other).await.unwrap(), []);
    queue.piece_made(id, other, piece(0)).await.unwrap();
    queue.split(id, vec![piece(0)], at(3)).await.unwrap();
    assert_eq!(queue.pieces_made(id, other).await.unwrap(), []);
}
