//! `headstart explain`.

use headstart_session::{
    BuildState, Call, DifferenceData, ElementExplanation, ExplainError, Hindsight, InputData,
    OriginData, Question, Reason, SessionExplanation, SideData,
};

use crate::arguments::{ExplainArguments, MainOptions, ReportFormat};
use crate::error::Failure;
use crate::open;

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        Self::new(error.to_string())
    }
}

pub(crate) fn run(main: &MainOptions, arguments: &ExplainArguments) -> Result<(), Failure> {
    let hindsight = Hindsight::open(&open::config(main)?)?;
    if arguments.sessions {
        for session in hindsight.sessions()? {
            println!("{session}");
        }
        return Ok(());
    }
    let explanation = hindsight.explain(Question {
        session: arguments.session.as_deref(),
        element: arguments.element.as_deref(),
        action: arguments.action.as_deref(),
    })?;
    match arguments.format {
        ReportFormat::Text => print(&explanation),
        ReportFormat::Json => print_json(&explanation)?,
    }
    Ok(())
}

/// Prints data for programs.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::new(error.to_string()))?;
    println!("{text}");
    Ok(())
}

fn print(explanation: &SessionExplanation) {
    let header = &explanation.header;
    let took = match explanation.seconds {
        Some(seconds) => format!("{seconds:.1} s"),
        None => "broken off, or still going on".to_owned(),
    };
    println!(
        "session {}: {} of {}, speculation {}, {took}",
        explanation.session,
        header.targets.join(" "),
        header.project,
        header.mode,
    );
    if !explanation.whole {
        println!("a part of its history is missing");
    }
    for element in &explanation.elements {
        print_element(element);
    }
}

fn print_element(element: &ElementExplanation) {
    let state = match element.state {
        BuildState::Built => "built",
        BuildState::Failed => "failed",
        BuildState::BrokenOff => "not built to its end",
        BuildState::NotBuilt => "not built",
    };
    let counts = element.counts.iter();
    let counts: Vec<String> = counts.map(|(what, n)| format!("{n} {what}")).collect();
    println!("\n{}: {state}; {}", element.name, counts.join(", "));
    for call in &element.calls {
        print_call(call);
    }
}

fn print_call(call: &Call) {
    println!("\n  {} {}", call.outcome, call.action);
    if !call.command.is_empty() {
        println!("    {}", shortened(&call.command));
    }
    if let Some(reason) = &call.reason {
        print_reason(reason);
    }
    for event in &call.events {
        let action = event.action.as_deref().unwrap_or_default();
        println!("    {:>10.3} s  {:<12} {action}", event.at, event.what);
    }
}

/// A command that fits a line or two.
pub(crate) fn shortened(command: &[String]) -> String {
    const MOST: usize = 160;
    let text = command.join(" ");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn print_reason(reason: &Reason) {
    match reason {
        Reason::NothingStored => println!("    nothing is stored of an earlier build"),
        Reason::Unheard => println!("    no recorded action makes these outputs"),
        Reason::Unusable { base } => println!("    the recorded action {base} can't be adapted"),
        Reason::NotAdapted { base, input } => {
            println!("    the recorded action {base} was not adapted");
            match input {
                Some(input) => print_input(input),
                None => println!("    none of its inputs has changed"),
            }
        }
        Reason::Differs {
            base,
            predicted,
            asked,
            difference,
        } => {
            println!("    recorded  {base}");
            println!("    predicted {predicted}");
            if let Some(asked) = asked {
                println!("    asked for {asked}");
            }
            print_difference(difference);
        }
        Reason::TooLate { seconds } => println!("    it was predicted {seconds:.3} s too late"),
        Reason::Unreadable { error } => println!("    it can't be told why any more: {error}"),
        Reason::ExecutionFailed => println!("    it failed when it was executed"),
        Reason::Corrected { now } => println!("    the prediction was corrected later, to {now}"),
        Reason::Refuted => println!("    an input turned out to be gone"),
        Reason::NotBuilt => println!("    the element's build was not come to"),
        Reason::BuildFailed => println!("    the element's build failed before it called for this"),
        Reason::BrokenOff => println!("    the session ended before the element's build did"),
        Reason::NotCalled => println!("    the build called for nothing that makes these outputs"),
    }
}

fn print_difference(difference: &DifferenceData) {
    let (what, predicted, asked) = match difference {
        DifferenceData::Argument {
            place,
            predicted,
            asked,
        } => (format!("argument {place}"), predicted, asked),
        DifferenceData::Variable {
            name,
            predicted,
            asked,
        } => (format!("variable {name}"), predicted, asked),
        DifferenceData::Platform {
            name,
            predicted,
            asked,
        } => (format!("platform property {name}"), predicted, asked),
        DifferenceData::Input(input) => return print_input(input),
        DifferenceData::Other => {
            return println!("    they differ in outputs, working directory or limits");
        }
    };
    let text = |value: &Option<String>| match value {
        Some(value) => format!("{value:?}"),
        None => "none".to_owned(),
    };
    println!("    {what}");
    println!("      predicted {}", text(predicted));
    println!("      asked     {}", text(asked));
}

fn print_input(input: &InputData) {
    println!("    input {}", input.path);
    print_side("was", &input.old);
    print_side("predicted", &input.predicted);
    print_side("asked", &input.asked);
}

fn print_side(what: &str, side: &SideData) {
    let content = side.content.as_deref().unwrap_or("none");
    println!("      {what:<9} {content}");
    for origin in &side.origins {
        println!("        from {}", origin_text(origin));
    }
}

/// An origin in words.
pub(crate) fn origin_text(origin: &OriginData) -> String {
    let OriginData {
        kind,
        element,
        path,
        action,
    } = origin;
    match action {
        Some(action) => format!("output {path} of action {action} of {element}"),
        None => format!("{kind} {path} of {element}"),
    }
}
