//! Looks into recordings: format and true length ([`probe`]), samples for the recogniser
//! ([`decode`]), a small file of its speech for an upload ([`shrink`](mod@shrink)).
//!
//! Content decides, never a name. A source is opened read-only and only when it is a regular file;
//! whatever its bytes are, the answer is a value or a typed error, in bounded memory: no panic, no
//! endless loop. Nothing here writes to a source or runs another program.

pub mod decode;
pub mod probe;
pub mod shrink;

mod codec;
mod demux;
mod guard;
mod layout;
mod matroska;
mod mp4;
mod ogg;
mod opus;
mod resample;
mod riff;
mod source;
mod tags;
mod track;
mod trim;
mod walk;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
