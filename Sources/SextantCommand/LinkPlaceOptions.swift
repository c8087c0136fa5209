import ArgumentParser
import Documents
import Foundation
import Profiling
import Sextant

/// Where this process stands among the nodes of a run, and how they find each other.
struct LinkPlaceOptions: ParsableArguments {
  @Option(help: ArgumentHelp("This process's number, where no launcher says it.", valueName: "number"))
  var rank: Int?

  @Option(help: ArgumentHelp("How many processes there are, where no launcher says it.", valueName: "count"))
  var size: Int?

  @Option(help: ArgumentHelp("Where rank 0 listens.", valueName: "host:port"))
  var rendezvous: String?

  @Option(
    help: ArgumentHelp(
      "A file of mode 0600 with the run's token, which rank 0 creates if it is not there; - for standard input.",
      valueName: "file"))
  var tokenFile: String?

  @Option(help: ArgumentHelp("Use this interface only, by name or number.", valueName: "interface"))
  var interface: String?

  @Option(help: ArgumentHelp("What this node is called; its host name if not given.", valueName: "name"))
  var nodeName: String?

  @Option(
    help: ArgumentHelp("Start a node on each of these hosts, over ssh; no name begins with -.", valueName: "host,…"))
  var hosts: String?

  @Option(help: ArgumentHelp("The same, a host a line; what follows on a line does not count.", valueName: "file"))
  var hostFile: String?

  @Option(help: ArgumentHelp("The command that starts another on a host.", valueName: "command"))
  var ssh = "ssh -o BatchMode=yes"

  @Option(help: ArgumentHelp("What sextant is called on the hosts.", valueName: "path"))
  var remoteProgram: String?

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: "Coordinate the run as rank 0; where not, rank 0 is a node like the others.")
  var coordinate = true

  @Option(
    help: ArgumentHelp("Wait so long for the nodes to come, and for a token on standard input.", valueName: "seconds"))
  var joinTimeout = 60.0

  func validate() throws {
    guard (rank == nil) == (size == nil) else { throw ValidationError("--rank and --size go together") }
    guard (0.1...86_400).contains(joinTimeout) else { throw ValidationError("--join-timeout is from 0.1 to 86400") }
    guard hosts == nil || hostFile == nil else { throw ValidationError("--hosts and --host-file exclude each other") }
    guard (hosts == nil && hostFile == nil) || rank == nil else {
      throw ValidationError("--hosts starts the ranks itself; --rank is for one of them")
    }
    guard nodeName.map({ !$0.isEmpty && $0.count <= 200 && $0 == $0.oneLine }) ?? true else {
      throw ValidationError("--node-name is of 1 to 200 printable characters")
    }
    guard !ssh.split(separator: " ").isEmpty else { throw ValidationError("--ssh is a command") }
  }

  /// Says where the process stands, and how it finds the others.
  func set(_ measurement: inout LinkMeasurement) throws {
    if let hosts {
      measurement.place = .hosts(try LinkMeasurement.hosts(inList: hosts))
    } else if let hostFile {
      measurement.place = .hosts(try LinkMeasurement.hosts(inFile: hostFile))
    } else if let rank, let size {
      measurement.place = .process(rank: rank, of: size)
    }
    measurement.nodeName = nodeName
    measurement.rendezvous = rendezvous
    if tokenFile == "-" {
      measurement.token = try RunToken.line(of: STDIN_FILENO, withinSeconds: joinTimeout)
    } else {
      measurement.tokenFile = tokenFile
    }
    measurement.interface = interface
    measurement.joinSeconds = joinTimeout
    measurement.coordinates = coordinate
    measurement.sshCommand = ssh.split(separator: " ").map(String.init)
    measurement.remoteProgram = remoteProgram ?? CommandLine.arguments.first.map(Self.absolute) ?? "sextant"
  }

  /// A path that means the same elsewhere; a bare name is looked for there as here.
  private static func absolute(_ path: String) -> String {
    guard path.contains("/"), !path.hasPrefix("/") else { return path }
    return URL(fileURLWithPath: path).standardizedFileURL.path
  }
}
