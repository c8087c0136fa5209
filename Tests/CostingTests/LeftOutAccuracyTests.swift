import Foundation
import TestSupport
import Testing

@testable import Costing
@testable import Documents

/// How sure predictions are said to be, from runs that their fits had not seen.
@Suite struct LeftOutAccuracyTests {
  /// Runs of one dense model on one node that take so many times what is predicted.
  private func cases(factors: [Double], of name: String = "gpt", batches: [Int] = [256]) throws -> [Validation.Case] {
    try factors.enumerated().map { index, factor in
      func run(_ seconds: Double) throws -> MeasuredRun {
        let text = """
          {"schema": "sextant.run/1", "id": "\(name)-\(index)", "family": "invented", "framework": "Megatron-LM",
           "group": "\(name)",
           "model": {"name": "\(name)", "family": "gpt", "layers": 24, "hidden": 2048, "heads": 16, "kv_heads": 16,
             "ffn_hidden": 8192, "vocab": 51200, "gated_mlp": false, "tied_embeddings": true},
           "sequence_length": 1024, "global_batch": \(batches[index % batches.count]), "precision": "bf16",
           "cluster": {"device": "a100-sxm4-80gb", "nodes": 1, "devices_per_node": 8},
           "strategy": {"tensor": 1, "pipeline": 1, "data": 8, "micro_batch": 4, "zero_stage": 1,
             "recompute": "none", "flash_attention": true}, "measured": {"iteration_seconds": \(seconds)}}
          """
        return try MeasuredRun(parse(Array(text.utf8), source: "run"))
      }
      let estimate = try RunWorkload(try run(1), catalog: Shipped.catalog).estimate()
      return Validation.Case(run: try run(estimate.prediction.iterationSeconds * factor), estimate: estimate)
    }
  }

  private func entries(factors: [Double], batches: [Int] = [256]) throws -> [DeviceProfile.Accuracy] {
    // Every fifth run is of one group.
    let all = try cases(factors: factors, batches: batches)
    return DeviceProfile.Accuracy.entries(
      of: (0..<5).map { rest in Validation(cases: all.indices.filter { $0 % 5 == rest }.map { all[$0] }) })
  }

  @Test func `The bound keeps nine in ten of the runs and of one more`() throws {
    // Slower by 1 to 50 %: of 51 runs 46 are nine in ten.
    let entries = try entries(factors: (1...50).map { 1 + Double($0) / 100 })
    #expect(entries.count == 1)
    #expect(entries[0].runCount == 50 && entries[0].errorBound == 0.46)
    #expect(entries[0].scope == .all)
    // Quicker by as much is as far off.
    let quick = try self.entries(factors: (1...50).map { 1 / (1 + Double($0) / 100) })
    #expect(quick.map(\.errorBound) == [0.46])
  }

  @Test func `Too few runs tell nothing, and nine all that they show`() throws {
    let factors = (1...9).map { 1 + Double($0) / 100 }
    #expect(try entries(factors: Array(factors.dropLast())).isEmpty)
    #expect(try entries(factors: factors).map(\.errorBound) == [0.09])
  }

  @Test func `Groups that are off each in its own way have a wider bound`() {
    func group(_ least: Double) -> [Double] { (0..<10).map { least + 0.001 * Double($0) } }
    func bound(_ groups: [[Double]]) -> Double { log(1 + DeviceProfile.Accuracy.bound(of: groups)) }
    // Alike: of 31 runs 28 are nine in ten.
    #expect(abs(bound([group(0.05), group(0.05), group(0.05)]) - 0.059) < 1e-12)
    // The others' largest errors keep nine in ten of four groups, and none of the fifth.
    #expect(abs(bound([0.01, 0.02, 0.03, 0.2, 0.4].map(group)) - 0.409) < 1e-12)
  }

  @Test func `Pairs that are ordered rightly tell what is told apart`() throws {
    // Twice the batch takes about twice as long, and does so here.
    let resolution = try #require(
      try entries(factors: [Double](repeating: 1, count: 20), batches: [128, 256])[0].resolution)
    #expect(resolution > 0.5 && resolution < 1.1)
    // Here it takes less, and no difference that was predicted told anything.
    let wrong = try entries(factors: (0..<20).map { $0 % 2 == 0 ? 1 : 0.4 }, batches: [128, 256])
    #expect(wrong[0].resolution == resolution)
    // Of three batches the small ones are told apart and the large ones are not.
    let mixed = try entries(factors: (0..<30).map { $0 % 3 == 2 ? 0.4 : 1 }, batches: [64, 192, 256])
    let middle = try #require(mixed[0].resolution)
    #expect(middle > 0.2 && middle < resolution)
  }

  @Test func `A range covers what lies in it`() throws {
    let two = Validation(cases: try cases(factors: [1.05, 1.2]))
    func accuracy(_ bound: Double) -> [DeviceProfile.Accuracy] {
      [.init(.all, runCount: 20, errorBound: bound, resolution: nil)]
    }
    #expect(two.coveredShare(by: accuracy(0.1)) == 0.5)
    #expect(two.coveredShare(by: accuracy(0.21)) == 1)
    #expect(two.coveredShare(by: accuracy(0.01)) == 0)
  }

  @Test func `What states most holds, and a device of which nothing is known has its siblings'`() {
    func entry(_ framework: String?, _ hasExperts: Bool?, _ bound: Double) -> DeviceProfile.Accuracy {
      DeviceProfile.Accuracy(
        .init(framework: framework, hasExperts: hasExperts, spansNodes: nil), runCount: 20, errorBound: bound,
        resolution: nil)
    }
    let all = [entry(nil, nil, 0.1), entry(nil, true, 0.2), entry("nemo", nil, 0.3), entry("nemo", true, 0.4)]
    func runs(_ framework: String, _ hasExperts: Bool) -> DeviceProfile.Accuracy.Scope {
      DeviceProfile.Accuracy.Scope(framework: framework, hasExperts: hasExperts, spansNodes: true)
    }
    func bound(_ framework: String, _ hasExperts: Bool) -> Double {
      DeviceProfile.Accuracy.best(of: all, for: runs(framework, hasExperts)).errorBound
    }
    #expect(bound("nemo", true) == 0.4 && bound("nemo", false) == 0.3)
    #expect(bound("other", true) == 0.2 && bound("other", false) == 0.1)
    // Where a device tells nothing, a framework that siblings' runs were under is better known than another.
    #expect(DeviceProfile.Accuracy.best(of: [], for: runs("nemo", true)) == .ofSiblings)
    #expect(DeviceProfile.Accuracy.best(of: [], for: runs("other", true)) == .ofFrameworks)
    #expect(DeviceProfile.Accuracy.ofSiblings.errorBound < DeviceProfile.Accuracy.ofFrameworks.errorBound)
  }
}
