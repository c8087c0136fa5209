package import Documents

/// How well predictions agree with measured runs: the figures by which a cost model is judged.
package struct Validation: Sendable {
  /// A run with what the model says of it.
  package struct Case: Sendable {
    /// What was measured.
    package let run: MeasuredRun
    /// What the model says.
    package let prediction: Prediction
    /// What kind of run it is: which section of the device's profile it was predicted with, whether the model has experts, and
    /// whether it took more than one node.
    let kind: DeviceProfile.Accuracy.Scope
    /// The strategy that the run used.
    package let strategy: Strategy
    /// The peak that the run's framework would report, bytes.
    package let reportedPeakBytes: Int
    /// Model FLOP utilisation of the measured time; nil for a run that failed or was not timed.
    package let measuredUtilization: Double?

    /// Predicted over measured time, minus one; nil for a run that failed or was not timed.
    package var timeError: Double? { run.measured.iterationSeconds.map { prediction.iterationSeconds / $0 - 1 } }

    /// Predicted over measured peak memory, minus one; nil where it was not measured.
    package var memoryError: Double? {
      guard !run.measured.hasFailed else { return nil }
      return run.measured.peakBytes.map { Double(reportedPeakBytes) / Double($0) - 1 }
    }

    /// Whether it used at least 10 % of the devices' FLOP/s; a failed run is not slow.
    var isFast: Bool { (measuredUtilization ?? 1) >= 0.1 }

    /// Whether its time is judged: it ran, is not marked, and is no run that nobody would choose.
    package var isJudgedInTime: Bool { timeError != nil && !run.isMarked && isFast }
  }

  /// Records that could be predicted, in their order.
  package let cases: [Case]
  /// Records that could not, with the reason.
  package let refused: [LeftOutRecord]

  /// Parts of records that are not judged, though the rest is.
  package var unusedParts: [LeftOutRecord] { cases.flatMap(\.run.unusedParts) }

  /// Predicts every run of which something was measured.
  package init(runs: [MeasuredRun], catalog: Catalog) { self.init(lines: runs.map { .success($0) }, catalog: catalog) }

  /// Predicts every run of some files of which something was measured.
  package init(lines: [Result<MeasuredRun, LeftOutRecord>], catalog: Catalog) {
    var cases: [Case] = []
    var refused: [LeftOutRecord] = []
    for line in lines {
      guard case .success(let run) = line else {
        if case .failure(let unread) = line { refused.append(unread) }
        continue
      }
      do {
        let estimate = try RunWorkload(run, catalog: catalog).estimate()
        if let reason = run.reasonNotComparable {
          refused.append(run.leftOut(reason))
        } else {
          cases.append(Case(run: run, estimate: estimate))
        }
      } catch {
        refused.append(run.leftOut("\(error)"))
      }
    }
    self.cases = cases
    self.refused = refused
  }

  /// A validation of predictions that were made elsewhere.
  package init(cases: [Case]) {
    self.cases = cases
    refused = []
  }

  /// Errors of the iteration time.
  package var timeErrors: ErrorSummary {
    let judged = cases.filter(\.isJudgedInTime)
    return ErrorSummary(
      errors: judged.compactMap(\.timeError),
      predicted: judged.map(\.prediction.iterationSeconds), measured: judged.compactMap(\.run.measured.iterationSeconds)
    )
  }

  /// Errors of the peak memory.
  package var memoryErrors: ErrorSummary {
    let measured = cases.filter { $0.memoryError != nil }
    return ErrorSummary(
      errors: measured.compactMap(\.memoryError), predicted: measured.map { Double($0.reportedPeakBytes) },
      measured: measured.compactMap { $0.run.measured.peakBytes.map(Double.init) })
  }

  /// How often each verdict was given to runs that succeeded and to runs that failed.
  package var confusion: Confusion {
    var confusion = Confusion()
    for item in cases {
      if item.run.measured.hasFailed {
        confusion.failed[item.prediction.verdict, default: 0] += 1
      } else {
        confusion.succeeded[item.prediction.verdict, default: 0] += 1
      }
    }
    return confusion
  }

  /// Verdicts against outcomes, counts of runs.
  package struct Confusion: Sendable, Equatable {
    /// Of runs that succeeded, by the verdict they were given.
    package var succeeded: [Prediction.Verdict: Int] = [:]
    /// Of runs that failed, by the verdict they were given.
    package var failed: [Prediction.Verdict: Int] = [:]

    /// Share of failed runs that were not called fitting; nil without failed runs.
    package var failedRecognisedShare: Double? {
      let all = failed.values.reduce(0, +)
      return all == 0 ? nil : 1 - Double(failed[.fits] ?? 0) / Double(all)
    }

    /// Share of successful runs that were called unfit; nil without successful runs.
    package var succeededCalledUnfitShare: Double? {
      let all = succeeded.values.reduce(0, +)
      return all == 0 ? nil : Double(succeeded[.unfit] ?? 0) / Double(all)
    }
  }
}

extension Validation.Case {
  init(run: MeasuredRun, estimate: Estimate) {
    self.run = run
    prediction = estimate.prediction
    kind = estimate.model.runs
    strategy = estimate.strategy
    reportedPeakBytes = estimate.reportedPeakBytes
    measuredUtilization = run.measured.iterationSeconds.map {
      // Utilisation is inversely proportional to time.
      estimate.prediction.modelFLOPUtilization * estimate.prediction.iterationSeconds / $0
    }
  }
}
