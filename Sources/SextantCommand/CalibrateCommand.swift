import ArgumentParser
import Costing
import Documents
import Foundation
import JSONText

/// `sextant calibrate`.
struct CalibrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate",
    abstract: "Fit a device profile's coefficients to measured runs.",
    discussion: """
      The profile's present values are where the fit starts and what it keeps where the runs cannot tell. Broken runs do \
      not move it and are listed. A record is used for what it has, a time, a peak or both; what cannot be used is listed \
      by id and line with the reason (--strict stops at it). With --folds it also says how well runs are predicted that were left out of the fit, \
      whole models or cluster sizes at a time, and the profile says how sure predictions are.

      With --together, profiles of other devices are fitted beside it to their own runs: what a framework's software takes \
      is then near what it takes on all of them, so that a device with few runs borrows from the others. Each is written \
      by a command of its own.

      Timed collectives (--collectives) tell the links without anything that training adds: they are fitted to first, and \
      what they tell is left alone by the fit to runs. A links document that profile import made of nccl-tests is taken as
      of the device, on links as its datasheet has them. Releases of a framework are told next, by layouts that were \
      measured under several, on whatever device. A fit that does not converge, or records that contradict one \
      another, are refused, and nothing is written.

      Example: sextant calibrate --runs runs.jsonl --device h100-sxm5-80gb --folds model --output mine.json
      """)

  @Option(help: ArgumentHelp("Files of run records, one JSON object a line.", valueName: "file"))
  var runs: [String] = []

  @Option(
    help: ArgumentHelp("Files of timed collectives, one JSON object a line, or links documents.", valueName: "file"))
  var collectives: [String] = []

  @Option(help: ArgumentHelp("The device profile to start from.", valueName: "name|file"))
  var device: String

  @Option(
    help: ArgumentHelp(
      "A profile of another device whose runs tell of the same frameworks; may be repeated.", valueName: "name|file"))
  var together: [String] = []

  @Option(help: "Leave out one family, model, nodes, device, release, tensor, pipeline, data or zero_stage at a time.")
  var folds: Grouping?

  @Option(help: "Fit only the coefficients of time, or of memory; without it both.")
  var part: Calibration.Quantity?

  @Option(
    help: ArgumentHelp(
      "A coefficient of time, or a group of them (fabric, compute/fp8), that stays as it is; may be repeated.",
      valueName: "name"))
  var keep: [String] = []

  @Option(help: ArgumentHelp("Write the fitted profile here.", valueName: "file"))
  var output: String?

  @Option(help: "Threads that predict runs; the result does not depend on it.")
  var threads: Int?

  @OptionGroup var strictness: StrictOption

  @Flag(help: "Print the fitted profile instead of a summary.")
  var json = false

  func validate() throws {
    guard !runs.isEmpty || !collectives.isEmpty else {
      throw ValidationError("nothing to fit to: --runs, --collectives or both")
    }
    guard folds == nil || !runs.isEmpty else { throw ValidationError("--folds leaves out runs, give --runs") }
    guard together.isEmpty || !runs.isEmpty else { throw ValidationError("--together fits to runs, give --runs") }
    guard (1...256).contains(threads ?? 1) else { throw ValidationError("--threads is from 1 to 256") }
  }

  func run() throws {
    try reportingErrors {
      if let output { try tryWritingFile(at: output) }
      let catalog = Catalog.ofInstallation()
      var records: [Result<MeasuredRun, LeftOutRecord>] = []
      for path in runs { records += try MeasuredRun.file(path).lines }
      let profile = try catalog.device(device)
      var timings: [Result<MeasuredCollective, LeftOutRecord>] = []
      for path in collectives { timings += try MeasuredCollective.timings(contentsOf: path, device: profile.name) }
      var siblings: [DeviceProfile] = []
      for name in together {
        let sibling = try catalog.device(name)
        guard !(siblings + [profile]).contains(where: { $0.name == sibling.name }) else {
          throw complaint("--together: \(sibling.name) is fitted already", .badInput)
        }
        siblings.append(sibling)
      }
      let report = try fit(
        records: records, timings: timings, device: profile, together: siblings, catalog: catalog)
      let text = report.profile.json.text(style: .pretty)
      if let output { try writeFileAtomically(Array(text.utf8), to: output) }
      try emit(json ? text : report.text)
    }
  }

  private func fit(
    records: [Result<MeasuredRun, LeftOutRecord>], timings: [Result<MeasuredCollective, LeftOutRecord>],
    device: DeviceProfile, together siblings: [DeviceProfile], catalog: Catalog
  ) throws -> CalibrationReport {
    var report = CalibrationReport(profile: device)
    // What is not read is known before anything is fitted.
    report.unread = timings.leftOut()
    try strictness.check(timings.leftOut() + records.leftOut())
    do {
      if !collectives.isEmpty {
        let fit = try CollectiveFit(timings.records(), unreadable: timings.leftOut(), device: device)
        report.collectives = (try fit.run(), fit.otherDeviceCount)
      }
    } catch {
      throw complaint("--collectives: \(error)", .badInput)
    }
    do {
      if !runs.isEmpty {
        // Software first: its releases are told by layouts that ran under several, on any device.
        if part != .memory {
          report.releases = try ReleaseFit(records.records(), device: report.profile, held: Set(keep)).run()
        }
        let calibration = try Calibration(
          runs: records.records(), unreadable: records.leftOut(), device: report.profile,
          together: siblings, held: report.heldCoefficients.union(keep), catalog: catalog,
          parts: part.map { [$0] } ?? Set(Calibration.Quantity.allCases),
          threadCount: threads ?? ProcessInfo.processInfo.activeProcessorCount)
        try strictness.check(calibration.leftOut + calibration.unusedParts)
        report.runs = try calibration.run(folds: folds)
      }
    } catch let refusal as CalibrationRefusal {
      throw complaint("--runs: \(refusal)", .badInput)
    }
    return report
  }
}

extension Calibration.Quantity: ExpressibleByArgument {}
