A woman of ninety who took up the unicycle in the spring has ridden it the length of the promenade and been given a ticket.

Mrs Dorothy Pell-Harding saw the machine in a skip behind the circus school. She had always gone about on a tricycle since her hip was done, and told her doctor that she felt that she was carrying two wheels for nothing.

She learned in the corridor of Seaview Court, where there are rails. Other residents lent cushions. Warden Fiona Gale, 43, said that the first to know of it was Mr Hapgood in number 5, whom she passed at head height.

On Sunday she set off at the clock tower, in a mackintosh, with a bag on her arm, and did not stop until the pier. It is six hundred yards. A crowd ran along beside her. At the halfway point she was observed to wave with both hands.

Priya from Highways explained that cycling was not allowed there. She had measured, and was able to let Mrs Pell-Harding off half of the penalty, as the by-law was for two wheels.

The remaining five pounds was paid on the spot. The ticket has been framed and is by the lift. There is a waiting list of four for the unicycle.

@highlight

Dorothy Pell-Harding, 90, rode a unicycle the length of the promenade

@highlight

She practised in the corridors of Seaview Court, where she lives

@highlight

She paid half of the usual penalty because she used one wheel
