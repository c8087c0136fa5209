import Documents
import TestSupport
import Testing

@testable import Launch

/// Files that nobody would write: each is read, or refused in one line.
@Suite struct ReaderFuzzTests {
  @Test(arguments: RoundTripTests.targets.indices, FuzzRun.seeds(90))
  func mutatedFilesAreReadOrRefusedInOneLine(index: Int, seed: UInt64) throws {
    let target = RoundTripTests.targets[index]
    var random = SeededGenerator(seed: seed + UInt64(index))
    var readCount = 0, refusedCount = 0
    for seed in 0..<20 {
      let offered = try OfferedPlan(seed: 9_000 + seed, for: target.capabilities)
      guard let files = try? target.program(of: offered.plan).files else { continue }
      for _ in 0..<60 {
        let isRead = Self.isRead(files, by: target, &random) { Int.random(in: 0...3, using: &$0) * 8 }
        (readCount, refusedCount) = isRead ? (readCount + 1, refusedCount) : (readCount, refusedCount + 1)
      }
    }
    #expect(readCount > 10 && refusedCount > 10, "\(readCount) read, \(refusedCount) refused")
  }

  /// The same of mixtures of experts, whose files say more.
  @Test(arguments: FuzzRun.seeds(120))
  func mutatedMixturesAreReadOrRefusedInOneLine(seed: UInt64) throws {
    let target: any LaunchTarget.Type = TorchtitanTarget.self
    var random = SeededGenerator(seed: seed), plans = try MixturePlans(seed: Int(seed % 1_000), for: target)
    var readCount = 0, refusedCount = 0
    for _ in 0..<10 {
      let files = try target.program(of: plans.next()).files
      for _ in 0..<60 {
        let isRead = Self.isRead(files, by: target, &random) { [32, 32, 32, 16, 0].randomElement(using: &$0) }
        (readCount, refusedCount) = isRead ? (readCount + 1, refusedCount) : (readCount, refusedCount + 1)
      }
    }
    #expect(readCount > 10 && refusedCount > 10, "\(readCount) read, \(refusedCount) refused")
  }

  /// Whether files of which each is broken somewhere are read; otherwise they are refused in one line.
  private static func isRead(
    _ files: [LaunchFile], by target: any LaunchTarget.Type, _ random: inout SeededGenerator,
    deviceCount: (inout SeededGenerator) -> Int?
  ) -> Bool {
    let mutated = files.map { LaunchFile(name: $0.name, text: mutation(of: $0.text, &random)) }
    do {
      let run = try target.configuration(in: mutated, deviceCount: deviceCount(&random))
      if run.strategy.worldSize <= 4_096 { _ = target.groups(of: run) }
      _ = try RunConfiguration(Field(run.json, source: "run"))
      return true
    } catch {
      #expect(!"\(error)".contains("\n"), "\(error)")
      return false
    }
  }

  private static let pieces = [
    "0", "-1", "1", "9223372036854775807", "1e400", "\"", "'", "[", "]", "{", "}", ":", ",", "=", "\n", "#", "null",
    "true",
    "auto", "layers.0", "--", "é", "\u{0}",
  ]

  /// The text with a few places replaced, removed or doubled, or cut off.
  private static func mutation(of text: String, _ random: inout SeededGenerator) -> String {
    var characters = Array(text)
    for _ in 0..<Int.random(in: 0...3, using: &random) where !characters.isEmpty {
      let place = Int.random(in: 0..<characters.count, using: &random)
      let end = min(characters.count, place + Int.random(in: 0...6, using: &random))
      switch Int.random(in: 0...3, using: &random) {
      case 0: characters.removeSubrange(place..<end)
      case 1: characters.replaceSubrange(place..<end, with: pieces.randomElement(using: &random) ?? "")
      case 2: characters.insert(contentsOf: characters[place..<end], at: place)
      default: if Int.random(in: 0...9, using: &random) == 0 { characters.removeSubrange(place...) }
      }
    }
    return String(characters)
  }
}
