import Foundation
import JSONText
import TestSupport
import Testing

@testable import Costing
@testable import Documents

@Suite("Calibration")
struct CalibrationTests {
  /// Records of runs that a device with other coefficients than the shipped profile's would have made, with 2 % noise.
  ///
  /// - Parameter factor: how many times as long the run of each index takes, because something is broken.
  private func runs(truth: DeviceProfile, factor: (Int) -> Double = { _ in 1 }) throws -> [MeasuredRun] {
    var random = SeededGenerator(seed: 7)
    var records: [MeasuredRun] = []
    for (hidden, layers) in [(1024, 24), (2048, 24), (4096, 16), (6144, 12)] {
      for tensor in [1, 2, 4] {
        for pipeline in [1, 2] {
          for microBatch in [1, 2, 8] {
            let data = 8 / tensor / pipeline
            let text = """
              {"schema": "sextant.run/1", "id": "\(truth.name)-h\(hidden)-t\(tensor)-p\(pipeline)-b\(microBatch)", "family": "invented",
               "model": {"name": "gpt-\(hidden)", "family": "gpt", "layers": \(layers), "hidden": \(hidden),
                 "heads": \(hidden / 128), "kv_heads": \(hidden / 128), "ffn_hidden": \(4 * hidden), "vocab": 51200,
                 "gated_mlp": false, "tied_embeddings": true},
               "framework": "Megatron-LM", "sequence_length": 1024, "global_batch": 64, "precision": "bf16",
               "cluster": {"device": "\(truth.name)", "nodes": 1, "devices_per_node": 8,
                 "intra_bytes_per_second_per_device": 3e11},
               "strategy": {"tensor": \(tensor), "pipeline": \(pipeline), "data": \(data), "micro_batch": \(microBatch),
                 "zero_stage": 0, "recompute": "full", "flash_attention": true, "overlap_gradient_reduce": false},
               "measured": {"iteration_seconds": 1}}
              """
            let record = try MeasuredRun(parse(Array(text.utf8), source: "run"))
            var seconds = try RunWorkload(record, catalog: Shipped.catalog).estimate(device: truth).prediction
              .iterationSeconds
            seconds *= exp(Double.random(in: -0.02...0.02, using: &random))
            seconds *= factor(records.count)
            let measured = text.replacingOccurrences(
              of: "\"iteration_seconds\": 1", with: "\"iteration_seconds\": \(seconds)")
            records.append(try MeasuredRun(parse(Array(measured.utf8), source: "run")))
          }
        }
      }
    }
    return records
  }

  /// The shipped profile, and one whose matrix products are slower and whose launches take twice as long.
  private func profiles() throws -> (base: DeviceProfile, truth: DeviceProfile) {
    let (base, slower) = try launchingSlower("a100-sxm4-80gb")
    var truth = slower
    truth.compute.gemmPeakFraction = base.compute.gemmPeakFraction / 1.15
    return (base, truth)
  }

  /// A device, and the same with launches that take twice as long.
  private func launchingSlower(_ name: String) throws -> (base: DeviceProfile, truth: DeviceProfile) {
    let base = try Shipped.catalog.device(name)
    var truth = base
    let index = try #require(truth.frameworks.firstIndex { $0.name == "megatron-lm" })
    truth.frameworks[index].layerFloorSeconds *= 2
    return (base, truth)
  }

  /// A device's slower launches, of a device that has runs which tell of them and of one whose runs do not.
  private func twoDevices() throws -> (few: [MeasuredRun], others: [MeasuredRun], device: DeviceProfile, DeviceProfile)
  {
    let own = try launchingSlower("a100-sxm4-80gb"), other = try launchingSlower("h100-sxm5-80gb")
    // Of large products nobody sees how long a launch takes.
    let few = try runs(truth: own.truth).filter { $0.id.contains("h6144") && !$0.id.hasSuffix("b1") }
    return (few, try runs(truth: other.truth), own.base, other.base)
  }

  @Test("A device whose runs do not tell of launches has them from another's under the same framework")
  func together() throws {
    let (few, others, device, sibling) = try twoDevices()
    func floor(_ siblings: [DeviceProfile]) throws -> (fitted: Calibration.Fitted, outcome: Calibration.FittedProfile) {
      let outcome = try Calibration(
        runs: few + others, device: device, together: siblings, catalog: Shipped.catalog, parts: [.time], threadCount: 2
      ).run(folds: siblings.isEmpty ? nil : .model)
      return (try #require(outcome.coefficients.first { $0.name.hasSuffix("/layer_floor_seconds") }), outcome)
    }
    let alone = try floor([]), pooled = try floor([sibling])
    #expect(few.count == 12 && !alone.fitted.isIdentified && alone.fitted.after == alone.fitted.before)
    // Half of what separates the two present values aside: what they have in common begins in their midst.
    let ratio = pooled.fitted.after / pooled.fitted.before
    #expect(pooled.fitted.isIdentified && ratio > 1.5 && ratio < 2.7, "\(ratio)")
    #expect(alone.outcome.leftOut.count == others.count && pooled.outcome.leftOut.isEmpty)
    // What is said is of its own runs, and the provenance of the others'.
    #expect(pooled.outcome.validation.cases.count == few.count && pooled.outcome.profile.name == device.name)
    #expect(pooled.outcome.profile.provenance.contains { $0.origin.contains("beside 72 on h100-sxm5-80gb") })
    // Of its single model nothing is left of its own without it.
    #expect(pooled.outcome.folds.isEmpty)
  }

  private func error(_ outcome: Calibration.FittedProfile) -> Double { outcome.validation.timeErrors.medianAbsolute }

  @Test("Runs of a slower device are predicted after the fit, and the launch floor is found")
  func recovers() throws {
    let (base, truth) = try profiles()
    let runs = try runs(truth: truth)
    let before = Validation(runs: runs, catalog: Shipped.catalog).timeErrors.medianAbsolute
    let outcome = try Calibration(runs: runs, device: base, catalog: Shipped.catalog, threadCount: 2).run(folds: .model)
    #expect(before > 0.06)
    #expect(error(outcome) < 0.02)
    let floor = try #require(outcome.coefficients.first { $0.name.hasSuffix("layer_floor_seconds") })
    #expect(floor.isIdentified)
    #expect(abs(floor.after / (2 * floor.before) - 1) < 0.1)
    // Whole models left out: told by the others.
    #expect(outcome.folds.count == 4)
    #expect(Validation(cases: outcome.folds.flatMap(\.validation.cases)).timeErrors.medianAbsolute < 0.03)
  }

  @Test("Broken runs do not move the fit and are listed")
  func outliers() throws {
    let (base, truth) = try profiles()
    let outcome = try Calibration(
      runs: runs(truth: truth) { $0 % 8 == 0 ? 3 : 1 }, device: base, catalog: Shipped.catalog, threadCount: 1
    ).run(folds: nil)
    #expect(error(outcome) < 0.03)
    #expect(outcome.outliers.count == 9)
    #expect(outcome.outliers.allSatisfy { $0.error < -0.6 })
  }

  @Test("What one node cannot tell keeps its value, and the profile says what was fitted")
  func unidentified() throws {
    let (base, truth) = try profiles()
    let outcome = try Calibration(runs: runs(truth: truth), device: base, catalog: Shipped.catalog, threadCount: 2)
      .run(folds: nil)
    let network = try #require(outcome.coefficients.first { $0.name == "fabric/scale_out_efficiency" })
    #expect(!network.isIdentified && network.after == network.before)
    #expect(outcome.profile.fabric.scaleOutEfficiency == base.fabric.scaleOutEfficiency)
    #expect(outcome.profile.provenance.contains { $0.group == "compute" && $0.origin.contains("72 runs (invented)") })
    // And it can be read again.
    let text = outcome.profile.json.text(style: .pretty)
    #expect(try DeviceProfile(parse(Array(text.utf8), source: "profile")) == outcome.profile)
  }

  @Test("The result is the same for any number of threads")
  func determinism() throws {
    let (base, truth) = try profiles()
    let runs = try runs(truth: truth)
    let texts = try [1, 2, 3].map { threads in
      try Calibration(runs: runs, device: base, catalog: Shipped.catalog, threadCount: threads).run(folds: nil)
        .profile.json.text(style: .pretty)
    }
    #expect(Set(texts).count == 1)
  }

  @Test("Too few runs are refused")
  func tooFew() throws {
    let (base, truth) = try profiles()
    let runs = Array(try runs(truth: truth).prefix(7))
    #expect(throws: CalibrationRefusal.tooFew("runs", device: base.name, count: 7, leftOut: [])) {
      try Calibration(runs: runs, device: base, catalog: Shipped.catalog, threadCount: 1)
    }
    // What was there before counts once.
    let again = runs.map { $0.leftOut("has the id of the record at \($0.source)") }
    #expect(throws: CalibrationRefusal.tooFew("runs", device: base.name, count: 7, leftOut: again)) {
      try Calibration(runs: runs + runs, device: base, catalog: Shipped.catalog, threadCount: 1)
    }
  }

  @Test("Runs of which most are far off whatever the coefficients are refused")
  func contradictory() throws {
    let (base, truth) = try profiles()
    // Two of three runs broken, by different factors.
    let torn = try runs(truth: truth) { [1.0, 6.0, 0.15][$0 % 3] }
    #expect {
      try Calibration(runs: torn, device: base, catalog: Shipped.catalog, threadCount: 2).run(folds: nil)
    } throws: { error in
      guard case CalibrationRefusal.contradictory("iteration times", let farOff, 72, _)? = error as? CalibrationRefusal
      else { return false }
      return farOff > 36
    }
  }

  @Test(
    "What something better told is held, by its own name or by its group's",
    arguments: ["compute/gemm_peak_fraction", "compute"])
  func held(what: String) throws {
    let (base, truth) = try profiles()
    let name = "compute/gemm_peak_fraction"
    let outcome = try Calibration(
      runs: runs(truth: truth), device: base, held: [what], catalog: Shipped.catalog, threadCount: 2
    ).run(folds: nil)
    #expect(outcome.coefficients.contains { $0.name.hasPrefix("compute/") } == (what != "compute"))
    #expect(!outcome.coefficients.contains { $0.name == name })
    #expect(outcome.profile.compute.gemmPeakFraction == base.compute.gemmPeakFraction)
  }

  @Test("Records that cannot be fitted to are listed with the reason")
  func leftOut() throws {
    let (base, truth) = try profiles()
    let runs = try runs(truth: truth)
    func record(_ id: String, device: String, sequence: String) throws -> MeasuredRun {
      let text = """
        {"schema": "sextant.run/1", "id": "\(id)", "family": "invented", "model": {"name": "gpt", "family": "gpt",
          "layers": 2, "hidden": 1024, "heads": 8, "kv_heads": 8, "ffn_hidden": 4096, "vocab": 51200,
          "gated_mlp": false, "tied_embeddings": true}, \(sequence)"global_batch": 8, "precision": "fp16",
         "cluster": {"device": "\(device)", "nodes": 1, "devices_per_node": 1},
         "strategy": {"tensor": 1, "pipeline": 1, "data": 1, "micro_batch": 1}, "measured": {"iteration_seconds": 1}}
        """
      return try MeasuredRun(parse(Array(text.utf8), source: "run"))
    }
    let foreign = try record("foreign", device: "v100-sxm2-32gb", sequence: "\"sequence_length\": 1024, ")
    let half = try record("half", device: base.name, sequence: "")
    let outcome = try Calibration(
      runs: runs + [foreign, half], device: base, catalog: Shipped.catalog, threadCount: 2
    ).run(folds: nil)
    #expect(outcome.leftOut.map(\.id) == ["foreign", "half"])
    #expect(outcome.leftOut[0].reason == "on another device, v100-sxm2-32gb")
    #expect(outcome.leftOut[1].reason.contains("sequence_length"))
  }
}
