//! A server of this machine that tests give answers to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// What a client asks for.
pub(crate) struct Request {
    /// The path, with what follows it.
    pub(crate) path: String,
    /// The lines of its head.
    pub(crate) head: Vec<String>,
}

/// What is answered.
#[derive(Clone)]
pub(crate) struct Answer {
    status: &'static str,
    head: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
    /// What was asked for.
    pub(crate) fn found(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: "200 OK",
            head: Vec::new(),
            body: body.into(),
        }
    }

    /// That there is nothing, or nothing for whoever asks.
    pub(crate) fn refused(status: &'static str) -> Self {
        Self {
            status,
            ..Self::found("")
        }
    }

    /// With a further line in its head.
    pub(crate) fn with(mut self, line: impl Into<String>) -> Self {
        self.head.push(line.into());
        self
    }
}

/// Answers requests, one after the other, until the process ends; gives the address to ask at.
pub(crate) fn serve(mut answer: impl FnMut(&Request) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            let request = read(&connection);
            let Answer { status, head, body } = answer(&request);
            let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
            text += &format!("Content-Length: {}\r\n", body.len());
            for line in head {
                text += &format!("{line}\r\n");
            }
            // Whoever has seen enough goes.
            let _ = connection.write_all(format!("{text}\r\n").as_bytes());
            let _ = connection.write_all(&body);
        }
    });
    format!("http://{address}")
}

fn read(connection: &TcpStream) -> Request {
    let lines = BufReader::new(connection.try_clone().unwrap()).lines();
    let head: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let first = head.first().map_or("", String::as_str);
    Request {
        path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        head,
    }
}
