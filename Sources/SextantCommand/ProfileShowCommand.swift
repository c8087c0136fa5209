import ArgumentParser
import JSONText
import Sextant

/// `sextant profile show`.
struct ProfileShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Show a links document: its matrix, what is slow, and what that costs a plan.",
    discussion: """
      A node is called slow when it sends or receives at least 10 % less than the median node, a link when it is at least \
      10 % below what its sender and its receiver explain; both only where that is four times the usual deviation. Beside a \
      cluster, rates far below what it describes are named, as those of a management network are.
      """)

  @Argument(help: ArgumentHelp("A links document, or the name of a shipped one.", valueName: "links"))
  var links: String

  @Option(help: ArgumentHelp("Say what slow nodes and links cost this plan.", valueName: "file"))
  var plan: String?

  @OptionGroup var cluster: ClusterOptions

  @Option(help: ArgumentHelp("Draw the matrix here, as SVG.", valueName: "file"))
  var svg: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try reportingErrors {
      let read = try Links.named(links)
      let priced = try plan.map { PlanOnLinksReport(priced: try Plan.file($0).priced(on: read)) }
      let cluster = try cluster.isStated ? cluster.stated() : nil
      if let svg {
        let picture = LinkHeatMap(links: read.document).svg
        guard !picture.isEmpty else { throw complaint("--svg: \(links) has no rates between nodes", .badInput) }
        try write(picture, to: svg)
      }
      let report = LinksReport(links: read.document)
      if json {
        var members = report.jsonMembers
        if let cluster { members.append(JSONMember("doubts", .array(read.doubts(on: cluster).map(JSON.string)))) }
        if let priced { members.append(JSONMember("plan", priced.json)) }
        try emit(JSON.object(members).text(style: .pretty))
      } else {
        try emit(report.text + LinksReport.comparison(of: read, with: cluster) + (priced?.text ?? ""))
      }
    }
  }
}
