//! A figure, its line and its place in `results.json`.

use std::fmt::{self, Write as _};

use crate::statistics::Runs;

/// One measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name, as goals are kept under.
    pub name: &'static str,
    /// The number. Never negative.
    pub value: f64,
    /// What it counts.
    pub unit: &'static str,
    /// Which way of several it was measured.
    pub mode: Option<String>,
    /// Where `value` is a ratio: our side of it.
    pub ours: Option<f64>,
    /// … and the peer's.
    pub peer: Option<f64>,
    /// Lowest and highest of the runs that `value` is the median of.
    pub spread: Option<(f64, f64)>,
}

impl Figure {
    /// A figure of one run.
    pub fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            name,
            value: value.max(0.0),
            unit,
            mode: None,
            ours: None,
            peer: None,
            spread: None,
        }
    }

    /// The median of several runs, with their spread.
    pub fn of_runs(name: &'static str, runs: Runs, unit: &'static str) -> Self {
        let mut figure = Self::new(name, runs.median, unit);
        figure.spread = Some((runs.low.max(0.0), runs.high.max(0.0)));
        figure
    }

    /// Says which way it was measured. Without spaces.
    #[must_use]
    pub fn mode(mut self, mode: impl Into<String>) -> Self {
        self.mode = Some(mode.into());
        self
    }

    /// Says what the ratio is made of.
    #[must_use]
    pub fn sides(mut self, ours: f64, peer: f64) -> Self {
        self.ours = Some(ours);
        self.peer = Some(peer);
        self
    }

    /// As an object of JSON.
    pub fn to_json(&self) -> String {
        let mut out = format!(
            "{{\"bench\": \"{}\", \"value\": {}, \"unit\": \"{}\"",
            self.name,
            Number(self.value),
            self.unit
        );
        let numbers = [("ours", self.ours), ("peer", self.peer)];
        for (key, number) in numbers.into_iter().filter_map(|(k, n)| Some((k, n?))) {
            _ = write!(out, ", \"{key}\": {}", Number(number));
        }
        if let Some(mode) = &self.mode {
            _ = write!(out, ", \"mode\": \"{mode}\"");
        }
        if let Some((low, high)) = self.spread {
            _ = write!(out, ", \"spread\": [{}, {}]", Number(low), Number(high));
        }
        out.push('}');
        out
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, .. } = self;
        write!(f, "bench={name} value={} unit={unit}", Number(self.value))?;
        if let Some(ours) = self.ours {
            write!(f, " ours={}", Number(ours))?;
        }
        if let Some(peer) = self.peer {
            write!(f, " peer={}", Number(peer))?;
        }
        if let Some(mode) = &self.mode {
            write!(f, " mode={mode}")?;
        }
        if let Some((low, high)) = self.spread {
            write!(f, " spread={}..{}", Number(low), Number(high))?;
        }
        Ok(())
    }
}

/// A number with about four digits that mean something.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        match value.abs() {
            _ if value.fract() == 0.0 => write!(f, "{value:.0}"),
            v if v >= 1000.0 => write!(f, "{value:.0}"),
            v if v >= 100.0 => write!(f, "{value:.1}"),
            v if v >= 10.0 => write!(f, "{value:.2}"),
            _ => write!(f, "{value:.3}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_everything_that_is_known() {
        let figure = Figure::of_runs("ratio", Runs::of([1.5, 1.25, 2.0]), "ratio");
        let figure = figure.mode("1k").sides(12.0, 8.0);
        assert_eq!(
            figure.to_string(),
            "bench=ratio value=1.500 unit=ratio ours=12 peer=8 mode=1k spread=1.250..2"
        );
        assert_eq!(
            figure.to_json(),
            r#"{"bench": "ratio", "value": 1.500, "unit": "ratio", "ours": 12, "peer": 8, "mode": "1k", "spread": [1.250, 2]}"#
        );
        assert_eq!(
            Figure::new("none", -1.0, "x").to_string(),
            "bench=none value=0 unit=x"
        );
    }
}
