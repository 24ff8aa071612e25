//! Looks into recordings: format and true length ([`probe`]), samples for the recogniser
//! ([`decode`]), small files of its speech for uploads: one of all of it ([`shrink`](mod@shrink)) or
//! several that follow each other ([`split`](mod@split)).
//!
//! Content decides, never a name. A source is opened read-only and only when it is a regular file;
//! whatever its bytes are, the answer is a value or a typed error, in bounded memory: no panic, no
//! endless loop. Nothing here writes to a source or runs another program.

pub mod decode;
pub mod probe;
pub mod shrink;
pub mod split;

mod codec;
mod demux;
mod frames;
mod guard;
mod layout;
mod matroska;
mod mp4;
mod ogg;
mod opus;
mod opus_file;
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
