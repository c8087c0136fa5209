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
  /// - Parameter brokenEvery: every so many-th run takes three times as long; 0 for none.
  private func runs(truth: DeviceProfile, brokenEvery: Int = 0) throws -> [MeasuredRun] {
    var random = SeededGenerator(seed: 7)
    var records: [MeasuredRun] = []
    for (hidden, layers) in [(1024, 24), (2048, 24), (4096, 16), (6144, 12)] {
      for tensor in [1, 2, 4] {
        for pipeline in [1, 2] {
          for microBatch in [1, 2, 8] {
            let data = 8 / tensor / pipeline
            let text = """
              {"schema": "sextant.run/1", "id": "h\(hidden)-t\(tensor)-p\(pipeline)-b\(microBatch)", "family": "invented",
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
            if brokenEvery > 0, records.count % brokenEvery == 0 { seconds *= 3 }
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
    let base = try Shipped.catalog.device("a100-sxm4-80gb")
    var truth = base
    truth.compute.gemmPeakFraction = base.compute.gemmPeakFraction / 1.15
    let index = try #require(truth.frameworks.firstIndex { $0.name == "megatron-lm" })
    truth.frameworks[index].layerFloorSeconds *= 2
    return (base, truth)
  }

  private func error(_ outcome: Calibration.Outcome) -> Double { outcome.validation.timeErrors.medianAbsolute }

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
      runs: runs(truth: truth, brokenEvery: 8), device: base, catalog: Shipped.catalog, threadCount: 1
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
    #expect(throws: Calibration.TooFewRuns.self) {
      try Calibration(runs: runs, device: base, catalog: Shipped.catalog, threadCount: 1)
    }
  }
}
