import ArgumentParser
import Sextant

/// What is sent over every link and for how long; the same for every command that measures links.
struct LinkProbeOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Sizes of the messages, ascending.", valueName: "bytes,…"))
  var messageBytes = "4096,65536,1048576,8388608"

  @Option(help: ArgumentHelp("Numbers of streams that share a message, ascending.", valueName: "count,…"))
  var streams = "1,4"

  @Option(help: ArgumentHelp("Messages of every size that are sent first and not counted.", valueName: "count"))
  var warmUp = 3

  @Option(help: ArgumentHelp("The fewest samples that make a median.", valueName: "count"))
  var samples = 7

  @Option(help: ArgumentHelp("Traffic for each size, number of streams and direction.", valueName: "seconds"))
  var slot = 0.2

  @Option(
    help: ArgumentHelp("How long nothing may arrive from a peer before it counts as stalled.", valueName: "seconds"))
  var stallTimeout = 10.0

  @Option(help: ArgumentHelp("The rate that no stream may exceed.", valueName: "bytes/s"))
  var limitRate: Double?

  /// Says what is sent, and how long.
  func set(_ measurement: inout LinkMeasurement) throws {
    measurement.messageBytes = try Self.numbers(messageBytes, "--message-bytes")
    measurement.streamCounts = try Self.numbers(streams, "--streams")
    measurement.warmUpCount = warmUp
    measurement.leastSampleCount = samples
    measurement.slotSeconds = slot
    measurement.stallSeconds = stallTimeout
    measurement.maximumBytesPerSecond = limitRate
  }

  private static func numbers(_ text: String, _ option: String) throws -> [Int] {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard !numbers.contains(nil) else { throw ValidationError("\(option): expected numbers, found \"\(text)\"") }
    return numbers.compactMap(\.self)
  }
}
