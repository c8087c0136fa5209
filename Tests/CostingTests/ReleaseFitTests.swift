import Foundation
import TestSupport
import Testing

@testable import Costing
@testable import Documents

@Suite("Releases of a framework")
struct ReleaseFitTests {
  private typealias Release = DeviceProfile.Framework.Release

  /// A run of one of a few layouts that took so long.
  private func run(
    _ id: String, release: String, layout: Int, seconds: Double, device: String = "h100-sxm5-80gb",
    framework: String = "Megatron-Bridge / NeMo", tier: String = "A"
  ) throws -> MeasuredRun {
    let text = """
      {"schema": "sextant.run/1", "id": "\(id)", "family": "invented", "framework": "\(framework) \(release)",
       "tier": "\(tier)",
       "model": {"name": "m", "family": "llama", "layers": \(8 + layout), "hidden": 1024, "heads": 8, "kv_heads": 8,
         "ffn_hidden": 4096, "vocab": 32000, "gated_mlp": true, "tied_embeddings": false},
       "sequence_length": 2048, "global_batch": 64, "precision": "bf16",
       "cluster": {"device": "\(device)", "nodes": 1, "devices_per_node": 8},
       "strategy": {"tensor": 1, "pipeline": 1, "data": 8, "micro_batch": 1, "zero_stage": 1},
       "measured": {"iteration_seconds": \(seconds)}}
      """
    return try MeasuredRun(parse(Array(text.utf8), source: id))
  }

  /// Layouts of very different times, each under the releases that it was measured under, exactly.
  private func runs() throws -> [MeasuredRun] {
    let factors = ["25.09": 1.06, "26.02": 1.04, "26.02.01": 1.015, "26.10": 1.0]
    // No two releases were measured with the same layouts alone.
    let measured = [["25.09", "26.02"], ["26.02", "26.02.01", "26.10"], ["25.09", "26.10"], ["26.02.01", "26.10"]]
    var runs: [MeasuredRun] = []
    for (layout, releases) in measured.enumerated() {
      for release in releases {
        runs.append(
          try run(
            "\(layout)-\(release)", release: release, layout: layout,
            seconds: pow(3, Double(layout)) * (factors[release] ?? 0),
            device: layout == 3 ? "gb200-186gb" : "h100-sxm5-80gb"))
      }
    }
    return runs
  }

  @Test("What each release took is found again, whatever the device, and one broken run moves nothing")
  func recovers() throws {
    let device = try Shipped.catalog.device("h100-sxm5-80gb")
    let broken = try run("broken", release: "26.10", layout: 1, seconds: 30)
    // Of one release alone, of another tier, or without a release: nothing to tell.
    let others = [
      try run("alone", release: "26.02", layout: 20, seconds: 7),
      try run("noisy", release: "26.02", layout: 1, seconds: 9, tier: "D"),
      try run("unnamed", release: "main", layout: 1, seconds: 9),
    ]
    for extra in [[], [broken], others] {
      let outcome = try #require(try ReleaseFit(runs() + extra, device: device).run())
      let bridge = try #require(outcome.profile.frameworks.first { $0.name == "megatron-bridge" })
      #expect(bridge.releases.map(\.name) == ["25.09", "26.02", "26.02.01", "26.10"])
      for (release, right) in zip(bridge.releases, [1.06, 1.04, 1.015, 1]) {
        #expect(abs(release.passFactor - right) < (extra.isEmpty ? 0.002 : 0.012), "\(release)")
      }
      #expect(outcome.coefficients.map(\.name).first == "frameworks/megatron-bridge/releases/25.09")
      #expect(outcome.profile.frameworks.filter { !$0.releases.isEmpty }.map(\.name) == ["megatron-bridge"])
    }
  }

  @Test("Releases that no layout connects with the newest are left out")
  func connection() throws {
    let device = try Shipped.catalog.device("h100-sxm5-80gb")
    let apart = [
      try run("x", release: "24.01", layout: 9, seconds: 5), try run("y", release: "24.02", layout: 9, seconds: 4),
    ]
    let outcome = try #require(try ReleaseFit(runs() + apart, device: device).run())
    let bridge = try #require(outcome.profile.frameworks.first { $0.name == "megatron-bridge" })
    #expect(bridge.releases.map(\.name) == ["25.09", "26.02", "26.02.01", "26.10"])
  }

  @Test("Seven runs, and releases that are to stay as they are, tell nothing")
  func refusals() throws {
    let device = try Shipped.catalog.device("h100-sxm5-80gb")
    #expect(try ReleaseFit(Array(runs().dropLast(2)), device: device).run() == nil)
    #expect(try ReleaseFit(runs(), device: device, held: ["frameworks/megatron-bridge"]).run() == nil)
  }

  @Test("Words name a release by numbers between points at their end")
  func names() {
    #expect(Release.named(in: "Megatron-Bridge / NeMo 26.02.01") == "26.02.01")
    for words in [
      "NeMo 2.0 / Megatron-Core", "nanotron (2024-07)", "torchtitan v0.2", "DeepSpeed", "x 1.", "x 1.2.3.4.5", "",
    ] {
      #expect(Release.named(in: words) == nil, "\(words)")
    }
    #expect(Release.isEarlier("26.02", than: "26.02.01"))
    #expect(Release.isEarlier("25.11", than: "26.02"))
    #expect(!Release.isEarlier("26.10", than: "26.9"))
  }

  @Test("A run is priced under its release, one between two under the earlier, and a plan under the newest")
  func pricing() throws {
    var device = try Shipped.catalog.device("h100-sxm5-80gb")
    let index = try #require(device.frameworks.firstIndex { $0.name == "megatron-bridge" })
    device.frameworks[index].releases = [
      Release(name: "25.11", passFactor: 1.2), Release(name: "26.02", passFactor: 1.1),
      Release(name: "26.06", passFactor: 1),
    ]
    let own = device.frameworks[index]
    func factor(_ name: String) throws -> Double {
      try #require(device.framework(named: name)).gemmFactor / own.gemmFactor
    }
    for (release, right) in [
      ("25.09", 1.2), ("25.11", 1.2), ("26.02", 1.1), ("26.04", 1.1), ("26.06", 1), ("27.01", 1),
    ] {
      #expect(abs(try factor("Megatron-Bridge / NeMo \(release)") - right) < 1e-12, "\(release)")
    }
    #expect(try factor("megatron-bridge") == 1)
    #expect(try factor("Megatron-Bridge main") == 1)
    let early = try RunWorkload(run("a", release: "25.11", layout: 0, seconds: 1), catalog: Shipped.catalog)
    let late = try RunWorkload(run("a", release: "26.06", layout: 0, seconds: 1), catalog: Shipped.catalog)
    let ratio =
      try early.estimate(device: device).prediction.iterationSeconds
      / late.estimate(device: device).prediction.iterationSeconds
    // All but what is not passes, such as the optimizer's step.
    #expect(ratio > 1.15 && ratio < 1.2, "\(ratio)")
  }
}
