import Documents
import JSONText

/// What coordinator and nodes say to each other once they have proven themselves.
enum ControlMessage: Equatable {
  /// Node → coordinator, first: who it is, and where it will take streams.
  case register(Registration)
  /// Coordinator → node: open the streams of a link, and wait.
  case assign(Assignment)
  /// Node → coordinator: its side of the link's streams is open and proven.
  case ready(link: UInt64)
  /// Coordinator → node: measure now.
  case go(link: UInt64)
  /// Node → coordinator: what its direction of the link delivered.
  case measured(link: UInt64, DirectionMeasurement)
  /// Node → coordinator: its side of the link is over, both directions.
  case finished(link: UInt64)
  /// Node → coordinator: its side of the link failed.
  case failed(link: UInt64, reason: String)
  /// Coordinator → node, at once after `register` and regularly from then on: it is there, and a node that hears
  /// nothing for so many seconds is to go.
  case alive(silenceSeconds: Double)
  /// Coordinator → node: the run is over.
  case goodbye

  /// What a node says of itself.
  struct Registration: Equatable {
    let hostName: String
    /// Where it takes streams.
    let endpoint: Endpoint
    /// What it shares with the nodes nearest to it, such as its leaf switch; empty when unknown.
    let block: String
  }

  /// One side's part in measuring a link.
  struct Assignment: Equatable {
    enum Role: String, CaseIterable {
      /// Calls, and measures its direction first.
      case caller
      /// Is called, and measures second.
      case answerer
      /// Both sides in one process: the loopback inside a node.
      case both
    }

    let link: UInt64
    let peerRank: Int
    let role: Role
    /// Where the answerer takes streams.
    let endpoint: Endpoint
    /// Whether samples go on to the end of each slot, so that all links of a round load the network.
    let keepsBusy: Bool
    let settings: ProbeSettings
  }
}

extension ControlMessage {
  /// The most bytes that a sealed message may have.
  static let byteLimit = 1 << 17
  /// The most seconds that a node can be told to go on without a word.
  static let greatestSilenceSeconds = 3_600.0

  /// - Throws: ``WireError/badMessage(_:)`` in one line.
  init(_ bytes: [UInt8]) throws(WireError) {
    do throws(DocumentError) {
      let field: Field
      do throws(JSONSyntaxError) {
        field = Field(
          try JSON(parsing: bytes, limits: JSONLimits(byteCount: Self.byteLimit, depth: 8, valueCount: 4_096)),
          source: "message")
      } catch {
        throw DocumentError(source: "message", location: "", expected: "\(error.reason)", found: nil)
      }
      self = try Self.decoded(field)
    } catch {
      throw .badMessage("\(error)")
    }
  }

  /// The text of the message, at most ``byteLimit`` bytes less the seal's.
  var bytes: [UInt8] { Array(json.text(style: .compact).utf8) }

  private static func decoded(_ field: Field) throws(DocumentError) -> ControlMessage {
    var fields = try field.fields()
    let kind = try fields.required("kind").string()
    let message: ControlMessage
    switch kind {
    case "register": message = .register(try Registration(&fields))
    case "assign": message = .assign(try Assignment(&fields))
    case "ready": message = .ready(link: try fields.link())
    case "go": message = .go(link: try fields.link())
    case "measured":
      message = .measured(link: try fields.link(), try DirectionMeasurement(fields.required("measurement")))
    case "finished": message = .finished(link: try fields.link())
    case "failed":
      message = .failed(
        link: try fields.link(), reason: String(try fields.required("reason").string().oneLine.prefix(300)))
    case "alive":
      let field = try fields.required("silence_seconds")
      let seconds = try field.positiveNumber()
      guard greatestSilenceSeconds >= seconds else { throw field.error(expected: "at most \(greatestSilenceSeconds)") }
      message = .alive(silenceSeconds: seconds)
    case "goodbye": message = .goodbye
    default: throw field.error(expected: "a kind of message that is known")
    }
    try fields.finish()
    return message
  }

  var json: JSON {
    switch self {
    case .register(let registration):
      object(
        ("kind", .string("register")), ("host_name", .string(registration.hostName)),
        ("endpoint", .string("\(registration.endpoint)")), ("block", .string(registration.block)))
    case .assign(let assignment):
      object(
        ("kind", .string("assign")), ("link", .link(assignment.link)), ("peer_rank", .integer(assignment.peerRank)),
        ("role", .string(assignment.role.rawValue)), ("endpoint", .string("\(assignment.endpoint)")),
        ("keeps_busy", .boolean(assignment.keepsBusy)), ("settings", assignment.settings.json))
    case .ready(let link): object(("kind", .string("ready")), ("link", .link(link)))
    case .go(let link): object(("kind", .string("go")), ("link", .link(link)))
    case .measured(let link, let measurement):
      object(("kind", .string("measured")), ("link", .link(link)), ("measurement", measurement.json))
    case .finished(let link): object(("kind", .string("finished")), ("link", .link(link)))
    case .failed(let link, let reason):
      object(("kind", .string("failed")), ("link", .link(link)), ("reason", .string(reason)))
    case .alive(let seconds): object(("kind", .string("alive")), ("silence_seconds", .number(seconds)))
    case .goodbye: object(("kind", .string("goodbye")))
    }
  }
}

extension ControlMessage.Registration {
  fileprivate init(_ fields: inout Fields) throws(DocumentError) {
    hostName = try fields.required("host_name").name()
    endpoint = try fields.endpoint()
    let block = try fields.required("block")
    self.block = try block.string().isEmpty ? "" : block.name()
  }
}

extension ControlMessage.Assignment {
  fileprivate init(_ fields: inout Fields) throws(DocumentError) {
    link = try fields.link()
    peerRank = try fields.required("peer_rank").integer(in: 0...1_000_000)
    role = try fields.required("role").choice(of: Role.self)
    endpoint = try fields.endpoint()
    keepsBusy = try fields.required("keeps_busy").boolean()
    settings = try ProbeSettings(fields.required("settings"))
  }
}

extension JSON {
  /// A link's number: 64 bits do not fit every JSON reader's integers, so in hexadecimal.
  fileprivate static func link(_ link: UInt64) -> JSON { .string(String(link, radix: 16)) }
}

extension Fields {
  fileprivate mutating func link() throws(DocumentError) -> UInt64 {
    let field = try required("link")
    guard let link = UInt64(try field.string(), radix: 16) else { throw field.error(expected: "the number of a link") }
    return link
  }

  fileprivate mutating func endpoint() throws(DocumentError) -> Endpoint {
    let field = try required("endpoint")
    let text = try field.string()
    do throws(LinkRunError) {
      return try Endpoint(text)
    } catch {
      throw field.error(expected: "an address")
    }
  }
}
