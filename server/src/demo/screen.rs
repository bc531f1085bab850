//! The terminal: lines that stay, and below them a block that is drawn anew in place.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines longer than the terminal is wide are cut by it, not wrapped: that would upset the counting of lines.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
const TO_END_OF_LINE: &str = "\x1b[K";
const BELOW: &str = "\x1b[J";

/// Standard output. Without a terminal there is no block, only lines.
pub struct Screen {
    is_terminal: bool,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    /// What is drawn now.
    block: Vec<String>,
}

impl Screen {
    pub fn standard_output() -> Screen {
        let out = io::stdout();
        Screen::new(out.is_terminal(), Box::new(out))
    }

    fn new(is_terminal: bool, out: Box<dyn Write + Send>) -> Screen {
        Screen { is_terminal, state: Mutex::new(State { out, block: Vec::new() }) }
    }

    /// Whether blocks are drawn.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Prints text that stays; it ends with a line break.
    pub fn print(&self, text: &str) {
        let mut state = self.state();
        let block = std::mem::take(&mut state.block);
        let mut output = erased(&block);
        output.push_str(text);
        draw(&block, &mut output);
        state.block = block;
        state.write(&output);
    }

    /// Draws the block in the place of the one before.
    pub fn show(&self, block: Vec<String>) {
        let mut state = self.state();
        let mut output = up(&state.block);
        draw(&block, &mut output);
        output.push_str(BELOW);
        state.block = block;
        state.write(&output);
    }

    /// Leaves the block where it is: what is printed from now on comes after it.
    pub fn release(&self) {
        self.state().block.clear();
    }

    /// A panic while printing leaves nothing behind that a later line could not mend.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// In one piece, so that nothing flickers. Whoever started the demo may have closed its output.
    fn write(&mut self, output: &str) {
        let _ = self.out.write_all(output.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// Goes to where a block begins.
fn up(block: &[String]) -> String {
    match block.len() {
        0 => String::new(),
        lines => format!("\r\x1b[{lines}A"),
    }
}

fn erased(block: &[String]) -> String {
    match block.len() {
        0 => String::new(),
        _ => up(block) + BELOW,
    }
}

fn draw(block: &[String], output: &mut String) {
    if block.is_empty() {
        return;
    }
    output.push_str(NO_WRAP);
    for line in block {
        output.push_str(line);
        output.push_str(TO_END_OF_LINE);
        output.push('\n');
    }
    output.push_str(WRAP);
}

/// Standard error, where log lines go: above the block when both are on the terminal.
#[derive(Clone)]
pub enum Log {
    Above(Arc<Screen>),
    Apart,
}

impl Log {
    pub fn beside(screen: &Arc<Screen>) -> Log {
        match screen.is_terminal() && io::stderr().is_terminal() {
            true => Log::Above(screen.clone()),
            false => Log::Apart,
        }
    }
}

impl Write for Log {
    /// Takes a whole line, as the log gives it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Log::Above(screen) => screen.print(&String::from_utf8_lossy(line)),
            Log::Apart => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal shows after all that was written to it.
    #[derive(Clone, Default)]
    struct Terminal(Arc<Mutex<Vec<u8>>>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Terminal {
        fn written(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        fn lines(&self) -> Vec<String> {
            let written = self.written();
            let mut lines = vec![String::new()];
            let mut row = 0;
            let mut rest = written.as_str();
            while let Some(character) = rest.chars().next() {
                rest = &rest[character.len_utf8()..];
                match character {
                    '\n' => {
                        row += 1;
                        lines.resize(lines.len().max(row + 1), String::new());
                        // Only whole lines are written, over what was there.
                    }
                    '\r' => {}
                    '\x1b' => {
                        let end = rest.find(|character: char| character.is_ascii_alphabetic()).unwrap();
                        match &rest[..=end] {
                            "[J" => {
                                lines.truncate(row);
                                lines.push(String::new());
                            }
                            "[K" | "[?7l" | "[?7h" => {}
                            up => row -= up[1..end].parse::<usize>().unwrap(),
                        }
                        rest = &rest[end + 1..];
                    }
                    _ => {
                        // The first character of a line that is drawn anew.
                        if written[..written.len() - rest.len() - character.len_utf8()].ends_with(['\n', 'l', 'A', 'J'])
                        {
                            lines[row].clear();
                        }
                        lines[row].push(character);
                    }
                }
            }
            lines
        }
    }

    fn block(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_block_stays_below_what_is_printed() {
        let terminal = Terminal::default();
        let screen = Screen::new(true, Box::new(terminal.clone()));
        screen.print("WELCOME\n");
        screen.show(block(&["1", "2", "3"]));
        screen.show(block(&["4", "5"]));
        assert_eq!(terminal.lines(), ["WELCOME", "4", "5", ""]);
        let mut log = Log::Above(Arc::new(screen));
        writeln!(log, "LOG").unwrap();
        assert_eq!(terminal.lines(), ["WELCOME", "LOG", "4", "5", ""]);
        let Log::Above(screen) = log else { unreachable!() };
        screen.show(block(&["6", "7", "8"]));
        assert_eq!(terminal.lines(), ["WELCOME", "LOG", "6", "7", "8", ""]);
        screen.release();
        screen.print("END\n");
        assert_eq!(terminal.lines(), ["WELCOME", "LOG", "6", "7", "8", "END", ""]);
    }

    #[test]
    fn without_a_terminal_there_are_no_escapes() {
        let terminal = Terminal::default();
        let screen = Screen::new(false, Box::new(terminal.clone()));
        screen.print("one\n");
        screen.print("two\n");
        assert_eq!(terminal.written(), "one\ntwo\n");
    }
}
